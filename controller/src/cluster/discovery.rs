//! What proxies and other replicas call: discovery, certificates and questions of replicas, on one port over TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::error;

use super::authority::Trust;
use super::shared::Shared;
use super::{ClusterOptions, StartError};
use crate::ca::CertificateService;
use crate::discovery::{DiscoveryOptions, DiscoveryServer, Metered};
use crate::fleet::{Fleet, FleetMetrics};
use crate::identity::{Authenticator, KubeReviewer, Options as AuthenticatorOptions};
use crate::limits::ControllerLimits;
use crate::replicas::ReplicaService;
use crate::serving::{Alpn, ClientCertificates, HEADER_LIST, Serving, tls};

/// A peer is asked for a sign of life after so long, and has so long to give one.
const KEEPALIVE: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(10)];

/// What a peer may send ahead of being read, bytes: nearly nothing is sent to a controller, but a thousand proxies may
/// come back at once with all they have.
const WINDOW: u32 = 64 << 10;

/// Calls at a time on one connection: a stream, a certificate, and what replicas ask.
const STREAMS: u32 = 16;

/// Largest frame that is taken, bytes.
const FRAME: u32 = 16 << 10;

/// Calls that a peer may have broken off before they were looked at.
const RESETS: usize = 20;

/// Serves until serving ends; returns where.
pub(super) fn serve(
    shared: &Shared,
    trust: &Trust,
    serving: &Arc<Serving>,
    fleet: &Fleet,
    metrics: FleetMetrics,
    options: &ClusterOptions,
) -> Result<SocketAddr, StartError> {
    let verifier = trust.verifier();
    let config = tls(serving, ClientCertificates::Optional(verifier.clone()), Alpn::Http2)?;
    let incoming =
        shared.listen("discovery and certificates", options.addresses.discovery, config, shared.limits.clone())?;
    let bound = incoming.local_addr();

    let reviewer = Arc::new(KubeReviewer::new(shared.client.clone()));
    let ControllerLimits { identity_chain: chain, reviews_per_address, refused_tokens: refused_per_minute, .. } =
        options.bounds;
    let settings = AuthenticatorOptions { chain, reviews_per_address, refused_per_minute, ..Default::default() };
    let authenticator = Authenticator::new(reviewer, verifier, settings).with_workloads(fleet.workloads());
    let authenticator = Arc::new(authenticator);
    let certificates = CertificateService::new(
        Arc::clone(&trust.authority),
        Arc::clone(&authenticator),
        options.certificates_per_minute,
        trust.metrics.clone(),
    );
    let Shared { namespace, service_account, .. } = shared;
    let replicas = ReplicaService::new(fleet.clone(), Arc::clone(&authenticator), namespace, service_account);
    let settings = DiscoveryOptions {
        controller: shared.replica.clone(),
        limits: options.bounds.clone(),
        ..options.discovery.clone()
    };
    let discovery = DiscoveryServer::new(fleet.clone(), authenticator, metrics, settings, shared.serving.clone());

    let discovery = Metered::new(discovery, options.bounds.long_messages, options.bounds.message_time);

    let [interval, timeout] = KEEPALIVE;
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(interval))
        .http2_keepalive_timeout(Some(timeout))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(Some(STREAMS))
        .max_frame_size(Some(FRAME))
        .http2_max_header_list_size(Some(HEADER_LIST))
        .http2_max_pending_accept_reset_streams(Some(RESETS))
        .add_service(certificates.into_server())
        .add_service(replicas)
        .add_service(discovery);
    let ended = shared.serving.clone();
    shared.tasks.spawn(async move {
        if let Err(error) = server.serve_with_incoming_shutdown(incoming, ended.cancelled_owned()).await {
            error!(%error, "serving discovery ended");
        }
    });
    Ok(bound)
}
