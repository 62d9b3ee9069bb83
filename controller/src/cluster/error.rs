//! Why a controller does not start.

use std::net::SocketAddr;

use crate::admin::BindError;
use crate::ca::store::StoreError;

/// Why a controller does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("ConfigMap {namespace}/istio cannot be read")]
    MeshConfig {
        namespace: String,
        #[source]
        source: kube::Error,
    },
    #[error("there is no certificate authority")]
    Authority(#[from] StoreError),
    #[error("the controller's own certificate cannot be issued")]
    Serving(#[from] crate::serving::ServingError),
    #[error(transparent)]
    Tls(#[from] crate::serving::TlsError),
    #[error("cannot listen on {address} for {what}")]
    Listen {
        what: &'static str,
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    #[error(transparent)]
    Metrics(#[from] crate::telemetry::MetricsError),
    #[error("a metric is there twice")]
    Metric(#[from] prometheus::Error),
}
