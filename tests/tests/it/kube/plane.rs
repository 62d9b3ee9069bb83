//! The control plane of the tests does what the other tests of this module rely on.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams};
use sluice_tests::kube::{ControlPlane, Setup};
use sluice_tests::wait::until_within;
use std::time::Duration;

const KETTLES: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: kettles.plane.test}
spec:
  group: plane.test
  names: {kind: Kettle, plural: kettles}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {litres: {type: integer}}
            x-kubernetes-validations:
            - {rule: self.litres <= 10, message: that is a boiler}
          status: {type: object, properties: {hot: {type: boolean}}}
---
apiVersion: plane.test/v1
kind: Kettle
metadata: {name: small, namespace: default}
spec: {litres: 1}
"#;

fn code<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> u16 {
    match result {
        Err(kube::Error::Api(status)) => status.code,
        other => panic!("no answer of the API server: {other:?}"),
    }
}

#[tokio::test]
async fn a_definition_and_its_objects_are_applied_in_one_go() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace().await;
    plane.apply(KETTLES).await;
    let kettle = |name: &str, litres: u32| {
        format!("apiVersion: plane.test/v1\nkind: Kettle\nmetadata: {{name: {name}}}\nspec: {{litres: {litres}}}\n")
    };
    let applied = namespace.apply(&format!("{}---\n{}", kettle("one", 2), kettle("two", 3))).await;
    assert_eq!(applied[1].data["spec"]["litres"], 3);
    let error = namespace.try_apply(&kettle("three", 11)).await.unwrap_err();
    assert!(error.to_string().contains("that is a boiler"), "{error}");
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("plane.test", "v1", "Kettle"));
    let api: Api<DynamicObject> = Api::namespaced_with(plane.admin(), &namespace, &kind);
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 2);
    assert!(plane.kubectl(&["get", "kettles", "-n", &namespace]).await.contains("two"));
    // The description of the API is put together a moment later.
    let explain = async || plane.kubectl_as("admin", &["explain", "kettles.spec"]).await.ok();
    assert!(until_within("an explanation", Duration::from_secs(60), explain).await.contains("litres"));
}

#[tokio::test]
async fn users_may_do_what_roles_say() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace().await;
    let secrets = |user: &str| Api::<Secret>::namespaced(plane.client(user), &namespace);
    assert_eq!(code(secrets("reader").list(&ListParams::default()).await), 403);
    namespace
        .apply(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: one-secret}\nrules:\n\
             - {apiGroups: [''], resources: [secrets], resourceNames: [allowed], verbs: [get]}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: one-secret}\n\
             roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: one-secret}\n\
             subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: reader}]\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {name: allowed}\nstringData: {a: b}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {name: other}\nstringData: {a: b}\n",
        )
        .await;
    // The authorizer learns of a role by a watch.
    until_within("the role", Duration::from_secs(60), async || secrets("reader").get("allowed").await.ok()).await;
    assert_eq!(code(secrets("reader").get("other").await), 403);
    assert_eq!(code(secrets("stranger").get("allowed").await), 403);
    let refused = plane.kubectl_as("reader", &["get", "secret", "other", "-n", &namespace]).await.unwrap_err();
    assert!(refused.contains("forbidden"), "{refused}");

    let calls = plane.calls("reader");
    let one =
        |name: &str| calls.iter().filter(|call| call.name == name && call.namespace == *namespace).collect::<Vec<_>>();
    assert!(one("allowed").iter().any(|call| call.verb == "get" && call.resource == "secrets" && call.code == 200));
    assert!(!one("other").is_empty() && one("other").iter().all(|call| call.code == 403), "{calls:?}");
    assert_eq!(plane.calls("admin"), []);
}

#[tokio::test]
async fn tokens_are_bound_to_their_audience() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace().await;
    namespace
        .apply(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: gate}\nspec:\n  serviceAccountName: default\n  \
             containers: [{name: a, image: none}]\n",
        )
        .await;
    let reviews: Api<TokenReview> = Api::all(plane.admin());
    let review = async |token: &str, audience: &str| {
        let spec = TokenReviewSpec { token: token.to_owned(), audiences: Some(vec![audience.to_owned()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap()
    };
    let token = plane.token_of_pod(&namespace, "gate", "istio-ca").await;
    let known = review(&token, "istio-ca").await;
    assert_eq!(known.authenticated, Some(true));
    assert_eq!(known.audiences, Some(vec!["istio-ca".to_owned()]));
    let user = known.user.unwrap();
    assert_eq!(user.username.unwrap(), format!("system:serviceaccount:{}:default", &*namespace));
    assert_eq!(user.extra.unwrap()["authentication.kubernetes.io/pod-name"], ["gate"]);
    assert_ne!(review(&token, "https://kubernetes.default.svc").await.authenticated, Some(true));
    // It is no key to the API server itself.
    let maps: Api<ConfigMap> = Api::namespaced(plane.client_with_token(&token), &namespace);
    assert_ne!(code(maps.list(&ListParams::default()).await), 200);

    let account = plane.service_account(&namespace, "robot").await;
    let maps: Api<ConfigMap> = Api::namespaced(account, &namespace);
    assert_eq!(code(maps.list(&ListParams::default()).await), 403);
}

#[tokio::test]
async fn a_killed_api_server_comes_back_with_its_data() {
    let plane =
        ControlPlane::start_with(Setup { api_server: vec!["--min-request-timeout=5".to_owned()], ..Setup::default() })
            .await;
    let namespace = plane.namespace().await;
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept}\ndata: {a: b}\n";
    namespace.apply(map).await;
    let maps: Api<ConfigMap> = namespace.api();

    plane.api_server().kill();
    assert!(maps.get("kept").await.is_err());
    plane.api_server().restart().await;
    assert_eq!(maps.get("kept").await.unwrap().data.unwrap()["a"], "b");

    // Nothing is answered while it stands still, and everything afterwards.
    plane.api_server().pause();
    let asked = tokio::time::timeout(Duration::from_millis(500), maps.get("kept")).await;
    assert!(asked.is_err(), "{asked:?}");
    plane.api_server().resume();
    assert!(maps.get("kept").await.is_ok());

    plane.etcd().pause();
    let asked =
        tokio::time::timeout(Duration::from_millis(500), namespace.try_apply(&map.replace("kept", "new"))).await;
    assert!(asked.is_err(), "{asked:?}");
    plane.etcd().resume();
    let made = async || namespace.try_apply(&map.replace("kept", "new")).await.ok();
    until_within("a write", Duration::from_secs(60), made).await;
}

#[tokio::test]
async fn the_controller_manager_runs_on_demand() {
    let plane = ControlPlane::start().await;
    let namespace = plane.namespace().await;
    namespace
        .apply(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 2\n  \
             selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    \
             spec: {containers: [{name: a, image: none}]}\n",
        )
        .await;
    let manager = plane.controller_manager().await;
    let deployments: Api<Deployment> = namespace.api();
    until_within("two replicas", Duration::from_secs(90), async || {
        let status = deployments.get("web").await.ok()?.status?;
        status.replicas.filter(|count| *count == 2)
    })
    .await;
    let roots: Api<ConfigMap> = namespace.api();
    let root =
        until_within("the root", Duration::from_secs(60), async || roots.get("kube-root-ca.crt").await.ok()).await;
    assert_eq!(root.data.unwrap()["ca.crt"], plane.root_certificate());
    assert!(!manager.log(5).is_empty());
}
