//! The certificate authority of a controller: what it signs with and for whom, its own certificate, and its roots
//! everywhere. It is loaded before anything else starts and kept current for as long as the controller runs.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use crds::MeshConfig;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use super::shared::Shared;
use super::{ClusterOptions, StartError, trust};
use crate::ca::{Authority, Metrics, SigningPolicy, store};
use crate::fleet::Fleet;
use crate::identity::{CertificateVerifier, TrustDomains};
use crate::leader::Leadership;
use crate::owner::Owner;
use crate::serving::Serving;

/// Who is believed, and by whom the controller is.
pub(super) struct Trust {
    pub(super) authority: Arc<Authority>,
    pub(super) domains: Arc<ArcSwap<TrustDomains>>,
    pub(super) metrics: Metrics,
    pub(super) owner: Option<Owner>,
    store: store::SecretStore,
}

impl Trust {
    pub(super) async fn load(shared: &Shared, options: &ClusterOptions) -> Result<Self, StartError> {
        let metrics = Metrics::register(shared.metrics.registry())?;
        let mesh = read_mesh(shared).await?;
        let domains = Arc::new(ArcSwap::from_pointee(trust::domains(&mesh, options.trust_domain.as_deref())));
        let owner = match &options.owner {
            Some(name) => Owner::find(&shared.client, name).await,
            None => None,
        };
        let names = store::StoreOptions::new(&shared.namespace, domains.load().own());
        let store =
            store::SecretStore::new(shared.client.clone(), store::StoreOptions { owner: owner.clone(), ..names });
        let bundle = store.load(SystemTime::now()).await?;
        let authority = Arc::new(Authority::new(bundle, SigningPolicy::default()));
        Ok(Self { authority, domains, metrics, owner, store })
    }

    pub(super) fn verifier(&self) -> CertificateVerifier {
        CertificateVerifier::new(self.authority.trusted(), Arc::clone(&self.domains))
    }

    /// The certificate by which the API server and proxies know the controller: whatever else fails, they get one of our
    /// own authority.
    pub(super) fn serving(&self, shared: &Shared, names: Vec<String>) -> Result<Arc<Serving>, StartError> {
        let serving = Serving::new(Arc::clone(&self.authority), names, SystemTime::now())?;
        shared.tasks.spawn(Arc::clone(&serving).keep_current(shared.stop.clone()));
        Ok(serving)
    }

    /// Follows what is written in MeshConfig and the Secrets, and lets everybody know the roots.
    pub(super) fn keep(self, shared: &Shared, fleet: &Fleet, trust_domain: Option<String>, leadership: &Leadership) {
        let Self { authority, domains, metrics, owner, store } = self;
        let Shared { client, stop, tasks, .. } = shared;
        tasks.spawn(trust::follow(fleet.mesh(), trust_domain, domains, stop.clone()));
        let publish = store::PublishOptions { owner, ..store::PublishOptions::default() };
        let leader = leadership.watch();
        tasks.spawn(store::publish_roots(client.clone(), Arc::clone(&authority), publish, leader, stop.clone()));
        tasks.spawn(store::follow(store, authority, store::Rotation::default(), metrics, stop.clone()));
    }
}

async fn read_mesh(shared: &Shared) -> Result<MeshConfig, StartError> {
    let Shared { client, namespace, .. } = shared;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let failed = |source| StartError::MeshConfig { namespace: namespace.clone(), source };
    let map = maps.get_opt("istio").await.map_err(failed)?;
    let text = map.and_then(|map| map.data).and_then(|mut data| data.remove("mesh")).unwrap_or_default();
    // What is wrong with it is reported when it is translated.
    Ok(crds::yaml::read_mesh_config(&text).map(|read| read.config).unwrap_or_default())
}
