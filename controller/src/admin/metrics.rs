//! What the controller counts, for Prometheus.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::get;
use tracing::error;

use crate::telemetry::Metrics;

/// `/metrics`.
pub fn metrics(metrics: Metrics) -> Router {
    let render = move || {
        let rendered = metrics.render();
        async move {
            match rendered {
                Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
                Err(error) => {
                    error!(%error, "metrics cannot be told");
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
            }
        }
    };
    Router::new().route("/metrics", get(render))
}
