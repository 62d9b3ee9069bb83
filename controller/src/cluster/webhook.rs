//! What the API server asks before it takes an object: served over TLS, and kept current where it is registered.

use std::net::SocketAddr;
use std::sync::Arc;

use super::StartError;
use super::shared::Shared;
use crate::ca::Authority;
use crate::serving::{Alpn, ClientCertificates, Limits, Serving, tls};
use crate::webhook::{Registration, RegistrationOptions, Webhook, WebhookLimits, WebhookMetrics};

/// Serves until serving ends; returns where.
pub(super) fn serve(
    shared: &Shared,
    serving: &Arc<Serving>,
    authority: &Arc<Authority>,
    address: SocketAddr,
    registration: Option<&str>,
    metrics: WebhookMetrics,
) -> Result<SocketAddr, StartError> {
    let judge = Webhook::new(WebhookLimits::default(), metrics.clone());
    let config = tls(serving, ClientCertificates::Ignored, Alpn::Http2AndHttp1)?;
    // Calls of an API server bring nothing that could be authenticated.
    let limits = Limits { authentication: None, ..shared.limits.clone() };
    let incoming = shared.listen("webhook", address, config, limits)?;
    let bound = incoming.local_addr();
    shared.tasks.spawn(Arc::clone(&judge).serve(incoming, shared.serving.clone()));
    if let Some(name) = registration {
        let roots = Arc::clone(authority);
        let registration = Registration::new(
            shared.client.clone(),
            RegistrationOptions::new(name),
            metrics,
            move || roots.roots_pem(),
            authority.changes(),
            judge.proven(),
        );
        shared.tasks.spawn(registration.run(shared.stop.clone()));
    }
    Ok(bound)
}
