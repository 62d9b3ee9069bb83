//! What the source may read, and what it reads.

use std::collections::BTreeSet;
use std::time::Duration;

use controller::source::kube::SecretRef;
use controller::source::kube::rbac::{Permission, Reach, permissions};
use crds::ObjectKind;
use serde_json::Value;
use sluice_tests::kube::ControlPlane;
use sluice_tests::kube::mesh::{Mesh, only, render};

use super::bench::Bench;

/// One object of every kind that lives in a namespace, and an IngressClass.
const OBJECTS: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: it}
spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: it}
spec: {hosts: [it.test], http: [{directResponse: {status: 200}}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: it}
spec: {host: it.test}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: it}
spec: {hosts: [it.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: it}
spec: {egress: [{hosts: ['./*']}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: it}
spec: {address: 10.9.9.9}
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: it}
spec: {template: {serviceAccount: it}}
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: it}
spec: {concurrency: 1}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: it}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: it}
spec: {jwtRules: [{issuer: it.test}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: it}
spec: {action: DENY, rules: [{}]}
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: it}
spec: {}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: it}
spec: {defaultBackend: {service: {name: it, port: {number: 80}}}}
---
apiVersion: v1
kind: Service
metadata: {name: it}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: it}
addressType: IPv4
endpoints: [{addresses: [10.9.9.9]}]
ports: [{port: 80}]
---
apiVersion: v1
kind: Secret
metadata: {name: it}
stringData: {key: never told}
";

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_arrives_and_goes_with_the_rights_of_the_chart() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    let space = plane.namespace().await;
    let name = &*space;
    space.apply(OBJECTS).await;
    mesh.pod_in(name, "it", "it", &[("app", "it")], "10.9.9.9").await;
    let cluster = format!(
        "{{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {{name: {name}}}, spec: {{controller: a/b}}}}\n---\n\
         {{apiVersion: v1, kind: Node, metadata: {{name: {name}}}}}\n"
    );
    plane.apply(&cluster).await;
    let mut bench = Bench::start(mesh.client().await, &mesh.namespace).await;
    let expected: BTreeSet<String> = ObjectKind::ALL
        .into_iter()
        .filter_map(|kind| match kind {
            ObjectKind::Secret => None,
            ObjectKind::ConfigMap => Some(format!("{kind} {}/istio", mesh.namespace)),
            kind if kind.is_namespaced() => Some(format!("{kind} {name}/it")),
            kind => Some(format!("{kind} {name}")),
        })
        .collect();
    let missing: Vec<_> = expected.iter().filter(|key| !bench.has(key)).collect();
    assert!(missing.is_empty(), "{missing:?} of {:#?}", bench.objects);
    assert!(!bench.objects.keys().any(|key| key.starts_with("Secret ")), "{:#?}", bench.objects);

    for kind in ObjectKind::ALL {
        let resource = kind.as_str();
        match kind {
            ObjectKind::ConfigMap | ObjectKind::Secret | ObjectKind::Namespace => continue,
            kind if kind.is_namespaced() => {
                let group = if kind.group().is_empty() { String::new() } else { format!(".{}", kind.group()) };
                let versioned = if group.is_empty() { resource.to_owned() } else { versioned(kind) };
                plane.kubectl(&["delete", &versioned, "it", "-n", name, "--grace-period=0", "--force"]).await;
            }
            _ => drop(plane.kubectl(&["delete", resource, name]).await),
        }
    }
    let stays = [format!("ConfigMap {}/istio", mesh.namespace), format!("Namespace {name}")];
    let gone: Vec<&String> = expected.iter().filter(|key| !stays.contains(key)).collect();
    bench.until("all are gone", |bench| gone.iter().all(|key| bench.deleted.contains(*key))).await;

    let user = format!("system:serviceaccount:{}:", mesh.namespace);
    let refused: Vec<_> = plane.calls(&user).into_iter().filter(|call| call.code == 403).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    assert!(!plane.calls(&user).iter().any(|call| call.resource == "secrets"));
}

/// `Gateway.v1.networking.istio.io`, as kubectl tells kinds of the same name apart.
fn versioned(kind: ObjectKind) -> String {
    format!("{kind}.{}.{}", kind.versions()[0], kind.group())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_told_if_it_is_wanted_and_permitted_by_name() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    let space = plane.namespace().await;
    let secret = |name: &str| {
        format!("{{apiVersion: v1, kind: Secret, metadata: {{name: {name}}}, stringData: {{tls.key: {name}}}}}\n")
    };
    space.apply(&[secret("mine"), secret("other")].join("---\n")).await;
    let mut bench = Bench::start(mesh.client().await, &mesh.namespace).await;
    let named = |name: &str| SecretRef { namespace: space.to_string(), name: name.to_owned() };
    bench.source.want_secrets(BTreeSet::from([named("mine"), named("other")]));
    bench.until("both are answered", |bench| bench.answered.len() == 2).await;
    assert!(bench.errors("Secret", "forbidden") >= 2);
    let has = |bench: &Bench, name: &str| bench.has(&format!("Secret {}/{name}", &*space));
    assert!(!has(&bench, "mine") && !has(&bench, "other"));

    // One of them, and nothing else.
    space
        .apply(&format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: mine}}\nrules:\n\
             - {{apiGroups: [''], resources: [secrets], resourceNames: [mine], verbs: [get, list, watch]}}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: mine}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: mine}}\n\
             subjects: [{{kind: ServiceAccount, name: sluice-controller, namespace: {}}}]\n",
            mesh.namespace
        ))
        .await;
    bench.until("the permitted one is there", |bench| has(bench, "mine")).await;
    bench.during(Duration::from_secs(2)).await;
    assert!(!has(&bench, "other"));

    // It is followed, and forgotten when nobody wants it.
    let before = bench.version(&format!("Secret {}/mine", &*space)).to_owned();
    space.apply(&secret("mine").replace("tls.key: mine", "tls.key: rotated")).await;
    bench.until("it is rotated", |bench| bench.version(&format!("Secret {}/mine", &*space)) != before).await;
    bench.source.want_secrets(BTreeSet::new());
    bench.until("it is gone", |bench| !has(bench, "mine")).await;
    let user = format!("system:serviceaccount:{}:", mesh.namespace);
    let calls: Vec<_> = plane.calls(&user).into_iter().filter(|call| call.resource == "secrets").collect();
    assert!(!calls.is_empty() && calls.iter().all(|call| ["mine", "other"].contains(&&*call.name)), "{calls:#?}");
}

/// The rules of every document of a kind.
fn rules(yaml: &str, kind: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(&only(yaml, &[kind])).unwrap();
    let rules = documents.iter().filter_map(|document| document["rules"].as_array());
    rules.flatten().cloned().collect()
}

fn names(rule: &Value, field: &str) -> BTreeSet<String> {
    rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn permits(rule: &Value, permission: &Permission) -> bool {
    names(rule, "apiGroups").contains(permission.group)
        && names(rule, "resources").contains(permission.resource)
        && permission.verbs.iter().all(|verb| names(rule, "verbs").contains(*verb))
}

#[test]
fn the_charts_permit_what_the_source_does() {
    let controller = render("controller", "sluice-controller", "mesh", &[]);
    let gateway = render("gateway", "edge", "edge", &["controller.namespace=mesh"]);
    let everywhere = rules(&controller, "ClusterRole");
    for permission in permissions() {
        let found = match permission.reach {
            Reach::Cluster => {
                everywhere.iter().any(|rule| permits(rule, &permission) && names(rule, "resourceNames").is_empty())
            }
            Reach::MeshConfig => rules(&controller, "Role").iter().any(|rule| {
                let named = names(rule, "resourceNames");
                permits(rule, &permission) && (named.is_empty() || named.contains("istio"))
            }),
            Reach::Named => rules(&gateway, "Role").iter().any(|rule| permits(rule, &permission)),
        };
        assert!(found, "no chart permits {permission:?}");
        // And what is not for the whole cluster is not given there, but for single objects.
        if permission.reach != Reach::Cluster {
            let reads = |rule: &&Value| {
                names(rule, "resources").contains(permission.resource)
                    && ["get", "list", "watch"].iter().any(|verb| names(rule, "verbs").contains(*verb))
                    && names(rule, "resourceNames").is_empty()
            };
            assert_eq!(everywhere.iter().find(reads), None, "{permission:?}");
        }
    }
}
