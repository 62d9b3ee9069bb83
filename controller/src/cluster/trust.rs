//! Which trust domains hold: what MeshConfig says, unless the command line says otherwise, and its changes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use crds::MeshConfig;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::identity::TrustDomains;

/// The trust domains of a mesh. One that cannot be a trust domain is told, and the default holds.
pub(super) fn domains(mesh: &MeshConfig, own: Option<&str>) -> TrustDomains {
    let written = own.map(str::to_owned).or_else(|| mesh.trust_domain.clone()).filter(|name| !name.is_empty());
    let default = TrustDomains::default();
    let name = written.unwrap_or_else(|| default.own().to_owned());
    let aliases = mesh.trust_domain_aliases.iter().cloned();
    TrustDomains::new(name, aliases).unwrap_or_else(|name| {
        warn!(trust_domain = name, "this is no trust domain; {} holds", default.own());
        default
    })
}

/// Follows MeshConfig.
pub(super) async fn follow(
    mut mesh: watch::Receiver<Arc<MeshConfig>>,
    own: Option<String>,
    domains: Arc<ArcSwap<TrustDomains>>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = mesh.changed() => if changed.is_err() { return },
        }
        let now = self::domains(&mesh.borrow_and_update(), own.as_deref());
        if now != **domains.load() {
            info!(trust_domain = now.own(), "trust domains changed");
            domains.store(Arc::new(now));
        }
    }
}
