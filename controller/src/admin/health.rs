//! Whether the controller is alive and whether it is ready; says nothing else.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::watch;

/// Ready once the cluster's state has been read, and until the end begins.
pub fn health(ready: watch::Receiver<bool>) -> Router {
    let state = move || {
        let ready = *ready.borrow();
        async move { if ready { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") } }
    };
    // `/ready` is the path that probes of Istio's control plane use.
    Router::new()
        .route("/healthz/ready", get(state.clone()))
        .route("/ready", get(state))
        .route("/healthz/live", get(|| async { "ok\n" }))
}
