//! What can be set about the watches.

use std::time::Duration;

use crate::telemetry::WatchMetrics;

/// Settings of a [`KubeSource`](super::KubeSource), all of them with a default that is safe.
#[derive(Clone, Debug)]
pub struct KubeOptions {
    /// The namespace of the ConfigMap that holds the mesh configuration.
    pub control_namespace: String,
    /// The name of that ConfigMap.
    pub mesh_config_name: String,
    /// How many objects are asked for at once when listing: what is in memory as JSON at any time.
    pub page_size: u32,
    /// After which time the API server ends a watch, which is then taken up again where it ended; at most 80 s. A
    /// connection that died without a word is noticed after this time: an API server is silent while nothing happens.
    pub watch_timeout: Duration,
    /// The pause after the first failure. It doubles with each failure after that, up to `retry_most`.
    pub retry_first: Duration,
    pub retry_most: Duration,
    /// How often to look for a kind that the API server does not have. A change of its definitions is noticed at once.
    pub look_again: Duration,
    /// For how long a kind must have been missing before its objects count as gone: an API server that has just started
    /// does not know all of its kinds.
    pub missing_grace: Duration,
    /// How many secrets are watched at most; each is a watch of its own.
    pub max_secrets: usize,
    pub metrics: WatchMetrics,
}

impl KubeOptions {
    #[must_use]
    pub fn new(control_namespace: &str, metrics: WatchMetrics) -> Self {
        Self {
            control_namespace: control_namespace.to_owned(),
            mesh_config_name: "istio".to_owned(),
            page_size: 500,
            watch_timeout: Duration::from_secs(60),
            retry_first: Duration::from_millis(100),
            retry_most: Duration::from_secs(5),
            look_again: Duration::from_secs(10),
            missing_grace: Duration::from_secs(5),
            max_secrets: 2_000,
            metrics,
        }
    }
}
