//! Tokens of service accounts, as kubelet would ask for them.

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt as _};

use super::ControlPlane;

impl ControlPlane {
    /// A token of this service account for this audience, good for an hour. The account is made when there is none.
    ///
    /// # Panics
    /// When the API server refuses.
    pub async fn token_for(&self, namespace: &str, service_account: &str, audience: &str) -> String {
        self.token(namespace, service_account, audience, None).await
    }

    /// A token bound to this Pod, which must be there, for its service account.
    ///
    /// # Panics
    /// When there is no such Pod, or the API server refuses.
    pub async fn token_of_pod(&self, namespace: &str, pod: &str, audience: &str) -> String {
        let pods: Api<Pod> = Api::namespaced(self.admin(), namespace);
        let pod = pods.get(pod).await.unwrap_or_else(|error| panic!("Pod {namespace}/{pod}: {error}"));
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
        let bound = BoundObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(pod.name_any()),
            uid: pod.uid(),
        };
        self.token(namespace, account, audience, Some(bound)).await
    }

    /// A client with a token of this service account, which is made when there is none.
    ///
    /// # Panics
    /// When the API server refuses.
    pub async fn service_account(&self, namespace: &str, name: &str) -> Client {
        self.client_with_token(&self.token_for(namespace, name, "https://kubernetes.default.svc").await)
    }

    async fn token(
        &self,
        namespace: &str,
        account: &str,
        audience: &str,
        bound_object_ref: Option<BoundObjectReference>,
    ) -> String {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin(), namespace);
        make_account(&accounts, account).await;
        let spec = TokenRequestSpec {
            audiences: Some(vec![audience.to_owned()]),
            expiration_seconds: Some(3600),
            bound_object_ref,
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let made = accounts.create_token_request(account, &PostParams::default(), &request).await;
        let made = made.unwrap_or_else(|error| panic!("a token of {namespace}/{account}: {error}"));
        made.status.and_then(|status| status.token).expect("a token request is answered in its status")
    }
}

/// # Panics
/// When the API server refuses for another reason than that it is there.
pub(super) async fn make_account(accounts: &Api<ServiceAccount>, name: &str) {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let account = ServiceAccount { metadata, ..ServiceAccount::default() };
    match accounts.create(&PostParams::default(), &account).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => panic!("service account {name}: {error}"),
    }
}
