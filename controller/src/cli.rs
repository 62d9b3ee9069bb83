//! Arguments and environment; nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use controller::cluster::{Addresses, ClusterOptions};
use controller::discovery::DiscoveryOptions;
use controller::limits::ControllerLimits;
use controller::logging::LogFormat;
use controller::serving::Limits;
use limits::{LimitError, Setting};
use translate::TranslationLimits;

/// The control plane of Sluice.
#[derive(Debug, Parser)]
#[command(name = "sluice-controller", version, about, long_about = None)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the objects of a Kubernetes cluster to its gateways.
    Run(Box<Run>),
    /// Print the version.
    Version,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Namespace the controller runs in: of ConfigMap `istio`, the certificate authority's Secret and the Lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "istio-system")]
    pub(crate) namespace: String,
    /// Name of this replica.
    #[arg(long, env = "POD_NAME", default_value = "sluice-controller")]
    pub(crate) name: String,
    /// Service account of the controller, and of its replicas.
    #[arg(long, env = "SERVICE_ACCOUNT", default_value = "sluice-controller")]
    pub(crate) service_account: String,
    /// Name of the Kubernetes cluster, for metrics.
    #[arg(long, env = "SLUICE_CLUSTER_ID", default_value = "Kubernetes")]
    pub(crate) cluster: String,
    /// Trust domain of the mesh; without it, what MeshConfig says.
    #[arg(long, env = "SLUICE_TRUST_DOMAIN")]
    pub(crate) trust_domain: Option<String>,
    /// DNS names by which proxies and the API server call the controller.
    #[arg(long, env = "SLUICE_DISCOVERY_NAMES", value_delimiter = ',')]
    pub(crate) discovery_names: Vec<String>,
    /// The ClusterRole that owns what the controller makes for itself, so that it goes with the installation; nothing is
    /// owned without it.
    #[arg(long, env = "SLUICE_OWNER")]
    pub(crate) owner: Option<String>,
    /// The ValidatingWebhookConfiguration whose certificate authority is kept current; none without it.
    #[arg(long, env = "SLUICE_WEBHOOK_NAME")]
    pub(crate) webhook_name: Option<String>,
    /// Where discovery and certificates are served, over TLS.
    #[arg(long, env = "SLUICE_DISCOVERY_LISTEN", default_value = "0.0.0.0:15012")]
    pub(crate) discovery_listen: SocketAddr,
    /// Where the webhook is served.
    #[arg(long, env = "SLUICE_WEBHOOK_LISTEN", default_value = "0.0.0.0:15017")]
    pub(crate) webhook_listen: SocketAddr,
    /// Where metrics are served.
    #[arg(long, env = "SLUICE_METRICS_LISTEN", default_value = "0.0.0.0:15014")]
    pub(crate) metrics_listen: SocketAddr,
    /// Where health is served.
    #[arg(long, env = "SLUICE_HEALTH_LISTEN", default_value = "0.0.0.0:15021")]
    pub(crate) health_listen: SocketAddr,
    /// Where debugging is served; keep it on loopback.
    #[arg(long, env = "SLUICE_DEBUG_LISTEN", default_value = "127.0.0.1:8080")]
    pub(crate) debug_listen: SocketAddr,
    /// Seconds from the stop signal until streams are ended.
    #[arg(long, env = "SLUICE_DRAIN_DELAY", default_value_t = 5)]
    pub(crate) drain_delay: u64,
    /// Proxies served at a time by this replica.
    #[arg(long, env = "SLUICE_MAX_PROXIES", default_value_t = 10_000)]
    pub(crate) max_proxies: usize,
    /// Returning proxies that say at the same time what they have; others wait for their turn.
    #[arg(long, env = "SLUICE_HELLOS", default_value_t = 16)]
    pub(crate) hellos: usize,
    /// TLS handshakes begun in a second; 0 is without limit.
    #[arg(long, env = "SLUICE_HANDSHAKES_PER_SECOND", default_value_t = 100)]
    pub(crate) handshakes_per_second: u32,
    /// Seconds that a proxy may take to answer a push.
    #[arg(long, env = "SLUICE_ANSWER_TIMEOUT", default_value_t = 60)]
    pub(crate) answer_timeout: u64,
    /// Certificates that a workload may ask for in a minute.
    #[arg(long, env = "SLUICE_CERTIFICATES_PER_MINUTE", default_value_t = 5)]
    pub(crate) certificates_per_minute: u32,
    /// Status updates in a second, at most.
    #[arg(long, env = "SLUICE_STATUS_WRITES_PER_SECOND", default_value_t = 50)]
    pub(crate) status_writes_per_second: u32,
    /// Threads; 0 = one per core.
    #[arg(long, env = "SLUICE_THREADS", default_value_t = 0)]
    pub(crate) threads: usize,
    /// A bound, as in `name-bytes=2KiB`; docs/limits.md lists them.
    #[arg(long = "limit", value_name = "NAME=VALUE", value_delimiter = ',', env = "SLUICE_LIMITS")]
    pub(crate) limit: Vec<Setting>,
    /// What is logged, such as `info` or `info,controller=debug`. Can be changed while it runs.
    #[arg(long, env = "SLUICE_LOG", default_value = "info")]
    pub(crate) log: String,
    /// The form of log lines.
    #[arg(long, env = "SLUICE_LOG_FORMAT", value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
}

impl Run {
    /// What the arguments say.
    ///
    /// # Errors
    /// A bound that is not one, or a value outside its range.
    pub(crate) fn options(self) -> Result<ClusterOptions, LimitError> {
        let Self {
            namespace,
            name,
            service_account,
            cluster,
            trust_domain,
            discovery_names,
            owner,
            webhook_name,
            discovery_listen,
            webhook_listen,
            metrics_listen,
            health_listen,
            debug_listen,
            drain_delay,
            max_proxies,
            hellos,
            handshakes_per_second,
            answer_timeout,
            certificates_per_minute,
            status_writes_per_second,
            threads: _,
            limit: mut settings,
            log: _,
            log_format: _,
        } = self;
        let names: Vec<String> = discovery_names.into_iter().filter(|name| !name.is_empty()).collect();
        let defaults = || {
            let services = ["istiod", "sluice-controller"].into_iter();
            services.flat_map(|name| [format!("{name}.{namespace}.svc"), format!("{name}.{namespace}")]).collect()
        };
        let bounds = ControllerLimits::from_settings(&mut settings)?;
        let translation = TranslationLimits::from_settings(&mut settings)?;
        limits::unknown(&settings)?;
        Ok(ClusterOptions {
            bounds,
            translation,
            names: if names.is_empty() { defaults() } else { names },
            namespace,
            replica: name,
            service_account,
            replicas: None,
            cluster,
            trust_domain: trust_domain.filter(|name| !name.is_empty()),
            owner: owner.filter(|name| !name.is_empty()),
            webhook: webhook_name.filter(|name| !name.is_empty()),
            addresses: Addresses {
                discovery: discovery_listen,
                webhook: webhook_listen,
                metrics: metrics_listen,
                health: health_listen,
                debug: debug_listen,
            },
            discovery: DiscoveryOptions {
                max_streams: max_proxies,
                answer: Duration::from_secs(answer_timeout),
                hellos,
                ..DiscoveryOptions::default()
            },
            limits: Limits { handshakes_per_second, connections: max_proxies, ..Limits::default() },
            certificates_per_minute,
            drain_delay: Duration::from_secs(drain_delay),
            status_writes_per_second,
        })
    }
}
