//! HTTP for people and for machines that watch: health, metrics and debugging, each on a listener of its own
//! (security.md CP-3). Debugging is for loopback: it shows configuration of every namespace, though no secret.

mod debug;
mod health;
mod metrics;

use std::net::SocketAddr;

use axum::Router;
use axum::serve::Listener as _;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::serving::{Plain, PlainListener, serve_http};

pub use debug::{Connected, Debug, LastNack, debug};
pub use health::health;
pub use metrics::metrics;

/// Why a port cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {what}")]
pub struct BindError {
    what: &'static str,
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

/// Serves until told to stop. Tells where.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(
    what: &'static str,
    address: SocketAddr,
    router: Router,
    stop: CancellationToken,
) -> Result<SocketAddr, BindError> {
    let failed = |source| BindError { what, address, source };
    let listener = PlainListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    info!(address = %bound, what, "listening");
    tokio::spawn(serve_http(listener, router, Plain::default(), stop));
    Ok(bound)
}
