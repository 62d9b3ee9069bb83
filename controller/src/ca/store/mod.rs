//! Where the authority lives in a cluster: key and roots in a Secret of the control namespace, as Istio keeps them, and
//! the roots for everybody in a ConfigMap of each namespace. Reads and writes; what makes an authority is decided above.

mod follow;
mod publish;
mod rollover;

use std::time::SystemTime;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::PostParams;
use tracing::{info, warn};

use super::bundle::{BundleError, CaFile, CaFiles, KeyCertBundle};
use crate::owner::{Owner, has_written};

pub use follow::{Rotation, follow};
pub use publish::{PublishOptions, publish_roots};

/// The type of the Secret that Istio makes for itself.
const SELF_SIGNED_TYPE: &str = "istio.io/ca-root";

/// Who writes, in the fields' ownership; tells what was made here from what Istio made under the same names.
const FIELD_MANAGER: &str = "sluice-ca";

/// Which Secrets hold the authority.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The control namespace.
    pub namespace: String,
    /// Names a root that is made here.
    pub trust_domain: String,
    /// An authority from outside; it comes first.
    pub plugged_in: String,
    /// The authority that is made where there is none.
    pub self_signed: String,
    /// Owns what is made here; never what is plugged in.
    pub owner: Option<Owner>,
}

impl StoreOptions {
    /// Istio's names.
    #[must_use]
    pub fn new(namespace: impl Into<String>, trust_domain: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            trust_domain: trust_domain.into(),
            plugged_in: "cacerts".into(),
            self_signed: "istio-ca-secret".into(),
            owner: None,
        }
    }
}

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("Secret {namespace}/{name} cannot be read: {source}")]
    Read { namespace: String, name: String, source: kube::Error },
    #[error("Secret {namespace}/{name} cannot be created: {source}")]
    Create { namespace: String, name: String, source: kube::Error },
    #[error("Secret {namespace}/{name}: {source}")]
    Content { namespace: String, name: String, source: BundleError },
    #[error("Secret {namespace}/{name} was made and taken away by somebody else again and again")]
    Unsettled { namespace: String, name: String },
    #[error("a certificate authority could not be made: {0}")]
    Make(BundleError),
}

/// The authority in the Secrets of a cluster.
#[derive(Clone)]
pub struct SecretStore {
    client: kube::Client,
    options: StoreOptions,
}

impl SecretStore {
    #[must_use]
    pub fn new(client: kube::Client, options: StoreOptions) -> Self {
        Self { client, options }
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.options.namespace)
    }

    /// The authority that is plugged in, else the one that was made before, else a new one. Controllers that start at
    /// the same time get the same: the API server accepts one of them, and the others read it.
    ///
    /// # Errors
    /// When Secrets cannot be reached, or one is there that makes no authority. It is not passed over: the mesh would
    /// trust something else than what was asked for.
    pub async fn load(&self, now: SystemTime) -> Result<KeyCertBundle, StoreError> {
        if let Some(secret) = self.read(&self.options.plugged_in).await? {
            return self.bundle(&self.options.plugged_in, &secret, now);
        }
        let name = &self.options.self_signed;
        for _ in 0..5 {
            if let Some(secret) = self.read(name).await? {
                let bundle = self.bundle(name, &secret, now)?;
                if self.adopt(secret).await {
                    return Ok(bundle);
                }
                continue;
            }
            let (bundle, files) =
                KeyCertBundle::self_signed(&self.options.trust_domain, now).map_err(StoreError::Make)?;
            let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
            match self.secrets().create(&params, &self.secret(name, files)).await {
                Ok(_) => {
                    info!(
                        secret = format!("{}/{name}", self.options.namespace),
                        "there was no certificate authority; a self-signed one was made"
                    );
                    return Ok(bundle);
                }
                Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                Err(source) => {
                    let (namespace, name) = (self.options.namespace.clone(), name.clone());
                    return Err(StoreError::Create { namespace, name, source });
                }
            }
        }
        warn!(secret = name, "the certificate authority's Secret does not stay");
        Err(StoreError::Unsettled { namespace: self.options.namespace.clone(), name: name.clone() })
    }

    /// What an installation before made here belongs to this one from now on. False if it is gone: it went with that one.
    async fn adopt(&self, secret: Secret) -> bool {
        let Some(owner) = &self.options.owner else { return true };
        if !has_written(FIELD_MANAGER, &secret.metadata) {
            return true;
        }
        match owner.adopt(&self.secrets(), secret).await {
            Ok(_) => true,
            Err(kube::Error::Api(status)) if status.is_not_found() => false,
            Err(error) => {
                let secret = &self.options.self_signed;
                warn!(%error, secret, "the certificate authority's Secret gets no owner; it will outlive the controller");
                true
            }
        }
    }

    async fn read(&self, name: &str) -> Result<Option<Secret>, StoreError> {
        let (namespace, name_) = (&self.options.namespace, name);
        self.secrets().get_opt(name).await.map_err(|source| StoreError::Read {
            namespace: namespace.clone(),
            name: name_.to_owned(),
            source,
        })
    }

    fn bundle(&self, name: &str, secret: &Secret, now: SystemTime) -> Result<KeyCertBundle, StoreError> {
        KeyCertBundle::from_pem(&files(secret), now).map_err(|source| StoreError::Content {
            namespace: self.options.namespace.clone(),
            name: name.to_owned(),
            source,
        })
    }

    fn secret(&self, name: &str, files: CaFiles) -> Secret {
        let CaFiles { ca_cert, ca_key, root_cert, cert_chain } = files;
        let data = [
            (CaFile::CaCert, ca_cert),
            (CaFile::CaKey, ca_key),
            (CaFile::RootCert, root_cert),
            (CaFile::CertChain, cert_chain),
        ];
        let owner_references = self.options.owner.as_ref().map(|owner| vec![owner.reference()]);
        Secret {
            metadata: ObjectMeta { name: Some(name.to_owned()), owner_references, ..ObjectMeta::default() },
            type_: Some(SELF_SIGNED_TYPE.into()),
            data: Some(data.into_iter().map(|(file, bytes)| (file.name().to_owned(), ByteString(bytes))).collect()),
            ..Secret::default()
        }
    }
}

fn files(secret: &Secret) -> CaFiles {
    let get = |file: CaFile| {
        secret.data.as_ref().and_then(|data| data.get(file.name())).map(|bytes| bytes.0.clone()).unwrap_or_default()
    };
    CaFiles {
        ca_cert: get(CaFile::CaCert),
        ca_key: get(CaFile::CaKey),
        root_cert: get(CaFile::RootCert),
        cert_chain: get(CaFile::CertChain),
    }
}
