//! Arguments and environment; nothing else. No other file reads the environment.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use gateway::discovery::{self, Limits, Node, Wanted};
use gateway::identity::channel::Address;
use gateway::limits::GatewayLimits;
use gateway::telemetry::logging::LogFormat;
use gateway::upstream::AllowedEndpoints;
use limits::{LimitError, Setting};

/// The Sluice data plane.
#[derive(Debug, Parser)]
#[command(name = "sluice-gateway", version, about, long_about = None, max_term_width = 110)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Run(Box<RunArgs>),
    Admin(AdminArgs),
}

/// Ask a gateway of this pod through its admin socket: GET PATH, or POST with --post
#[derive(Debug, clap::Args)]
pub(crate) struct AdminArgs {
    /// As in /config_dump; `/` says what there is
    #[arg(value_name = "PATH", default_value = "/")]
    pub(crate) path: String,

    /// POST instead of GET, as for /drain_listeners or '/logging?level=debug'
    #[arg(long)]
    pub(crate) post: bool,

    /// Pass standard input to the socket and what comes back to standard output, whatever it is
    #[arg(long, conflicts_with_all = ["path", "post"])]
    pub(crate) pipe: bool,

    /// The socket
    #[arg(long, value_name = "PATH", default_value = ADMIN_SOCKET, env = "SLUICE_ADMIN_SOCKET")]
    pub(crate) socket: PathBuf,
}

/// In the directory that pods have for their gateway alone.
const ADMIN_SOCKET: &str = "/var/lib/sluice/admin.sock";

/// Serve what a controller says. The last configuration is kept on disk and served until a controller answers.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The controller to follow
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "istiod.istio-system.svc:15012",
        env = "SLUICE_DISCOVERY_ADDRESS"
    )]
    discovery_address: Address,

    /// Who issues this proxy's certificate; the controller unless said otherwise
    #[arg(long, value_name = "HOST:PORT", env = "SLUICE_CA_ADDRESS")]
    ca_address: Option<Address>,

    /// Certificates in PEM by which both are verified; read again whenever it matters
    #[arg(long, value_name = "FILE", default_value = "/var/run/secrets/istio/root-cert.pem", env = "SLUICE_ROOT_CERT")]
    root_cert: PathBuf,

    /// Service account token of this proxy; read again whenever it matters
    #[arg(long, value_name = "FILE", default_value = "/var/run/secrets/tokens/istio-token", env = "SLUICE_TOKEN")]
    token: PathBuf,

    /// Where the last configuration is kept, private keys included; empty = nowhere
    #[arg(long, value_name = "DIR", default_value = "/var/lib/sluice", env = "SLUICE_SNAPSHOT_DIR")]
    snapshot_dir: String,

    /// Name of this pod
    #[arg(long, value_name = "NAME", default_value = "", env = "POD_NAME")]
    pod_name: String,

    /// Namespace of this pod
    #[arg(long, value_name = "NAME", default_value = "", env = "POD_NAMESPACE")]
    pod_namespace: String,

    /// Service account of this pod
    #[arg(long, value_name = "NAME", default_value = "", env = "SERVICE_ACCOUNT")]
    service_account: String,

    /// Name of the Kubernetes cluster
    #[arg(long, value_name = "NAME", default_value = "Kubernetes", env = "SLUICE_CLUSTER_ID")]
    cluster_id: String,

    /// Trust domain to expect in this proxy's certificate
    #[arg(long, value_name = "NAME", default_value = "", env = "SLUICE_TRUST_DOMAIN")]
    trust_domain: String,

    /// Lifetime to ask for; the authority may grant less
    #[arg(
        long,
        value_name = "TIME",
        default_value = "24h",
        env = "SLUICE_CERTIFICATE_LIFETIME",
        value_parser = duration
    )]
    certificate_lifetime: Duration,

    /// Address that listeners bind to; all of them unless said otherwise
    #[arg(long, value_name = "ADDR", env = "SLUICE_BIND")]
    bind: Option<IpAddr>,

    /// Endpoints that may be connected to although they belong to the pod or its node: loopback, unspecified, link-local,
    /// metadata, multicast, broadcast, unix, or networks. The gateway's own ports never are
    #[arg(long, value_name = "CLASS|CIDR", value_delimiter = ',', env = "SLUICE_ALLOW_ENDPOINTS")]
    allow_endpoints: Vec<AllowedEndpoints>,

    /// Directories below which certificate files lie that objects name (`serverCertificate`, `privateKey`)
    #[arg(
        long = "certificate-dir",
        value_name = "DIR",
        value_delimiter = ',',
        default_value = "/etc/istio,/etc/certs",
        env = "SLUICE_CERTIFICATE_DIRS"
    )]
    certificate_dirs: Vec<PathBuf>,

    /// Threads that carry traffic; one per core unless said otherwise
    #[arg(long, value_name = "N", env = "SLUICE_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Admin interface; meant for loopback
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:15000", env = "SLUICE_ADMIN_ADDRESS")]
    admin_address: SocketAddr,

    /// Unix socket of the admin interface, mode 0600: what changes something is asked for here; empty = nowhere
    #[arg(long, value_name = "PATH", default_value = ADMIN_SOCKET, env = "SLUICE_ADMIN_SOCKET")]
    admin_socket: String,

    /// Holds a token by which the admin port changes something, too
    #[arg(long, value_name = "FILE", env = "SLUICE_ADMIN_TOKEN_FILE")]
    admin_token_file: Option<PathBuf>,

    /// /stats/prometheus
    #[arg(long, value_name = "ADDR:PORT", default_value = "[::]:15020", env = "SLUICE_METRICS_ADDRESS")]
    metrics_address: SocketAddr,

    /// /healthz/ready
    #[arg(long, value_name = "ADDR:PORT", default_value = "[::]:15021", env = "SLUICE_READY_ADDRESS")]
    ready_address: SocketAddr,

    /// How long connections are still accepted after the signal to end, while load balancers learn of it
    #[arg(long, value_name = "TIME", default_value = "5s", env = "SLUICE_DRAIN_DELAY", value_parser = duration)]
    drain_delay: Duration,

    /// After that, how long what runs may go on; as the configuration says unless given
    #[arg(long, value_name = "TIME", env = "SLUICE_DRAIN_DURATION", value_parser = duration)]
    drain_duration: Option<Duration>,

    /// Largest part of a push that is taken from a controller
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().message_bytes, env = "SLUICE_MAX_MESSAGE_BYTES")]
    max_message_bytes: usize,

    /// Largest push that is taken from a controller
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().push_bytes, env = "SLUICE_MAX_PUSH_BYTES")]
    max_push_bytes: usize,

    /// A bound of this process, as in `connections=20000`; docs/limits.md lists them
    #[arg(long = "limit", value_name = "NAME=VALUE", value_delimiter = ',', env = "SLUICE_LIMITS")]
    limits: Vec<Setting>,

    /// Variables of the gateway's environment that `%ENVIRONMENT(NAME)%` shows in objects, which is to say to their
    /// authors; the format of the access log shows any
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', env = "SLUICE_ENVIRONMENT_ALLOW")]
    environment_allow: Vec<String>,

    /// Log filter, as in `info` or `gateway=debug`
    #[arg(long, value_name = "FILTER", default_value = "info", env = "SLUICE_LOG")]
    pub(crate) log: String,

    /// How log lines look
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text, env = "SLUICE_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
}

impl RunArgs {
    /// How the gateway itself runs.
    ///
    /// # Errors
    /// A bound that is not one, or a value outside its range.
    pub(crate) fn gateway(&self) -> Result<gateway::Config, LimitError> {
        let mut settings = self.limits.clone();
        let limits = GatewayLimits::from_settings(&mut settings)?;
        limits::unknown(&settings)?;
        Ok(gateway::Config {
            limits,
            threads: self.threads.map_or(0, usize::from),
            bind: self.bind,
            admin: Some(self.admin_address),
            admin_socket: Some(self.admin_socket.clone()).filter(|path| !path.is_empty()).map(PathBuf::from),
            admin_token: self.admin_token_file.clone(),
            metrics: Some(self.metrics_address),
            ready: Some(self.ready_address),
            allow_endpoints: self.allow_endpoints.clone(),
            certificate_directories: self.certificate_dirs.clone(),
            drain_delay: self.drain_delay,
            drain_timeout: self.drain_duration,
            hostname: if self.pod_name.is_empty() { hostname() } else { self.pod_name.clone() },
            environment: environment(),
            environment_allow: self.environment_allow.iter().cloned().collect(),
            ..gateway::Config::default()
        })
    }

    /// Whom it follows.
    pub(crate) fn discovery(self) -> discovery::Options {
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        discovery::Options {
            authority: self.ca_address.unwrap_or_else(|| self.discovery_address.clone()),
            address: self.discovery_address,
            roots: self.root_cert,
            token: self.token,
            snapshot: given(self.snapshot_dir).map(PathBuf::from),
            node: Node {
                pod: self.pod_name,
                namespace: self.pod_namespace,
                service_account: self.service_account,
                cluster: self.cluster_id,
                trust_domain: given(self.trust_domain),
            },
            wanted: Wanted::everything(),
            certificate_lifetime: self.certificate_lifetime,
            limits: Limits {
                message_bytes: self.max_message_bytes,
                push_bytes: self.max_push_bytes,
                ..Limits::default()
            },
        }
    }
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".to_owned() } else { name.trim().to_owned() }
}

/// What `%ENVIRONMENT(X)%` gives in access logs, and in headers as far as `--environment-allow` names it.
fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Why text is no duration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a time such as 500ms, 5s, 2m or 24h")]
struct DurationError {
    text: String,
}

/// A number with a unit; without one it is seconds.
fn duration(text: &str) -> Result<Duration, DurationError> {
    let wrong = || DurationError { text: text.to_owned() };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60 * 1000,
        "h" => 3600 * 1000,
        _ => return Err(wrong()),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn run(arguments: &[&str]) -> RunArgs {
        let all = ["sluice-gateway", "run"].iter().chain(arguments);
        let Command::Run(args) = Args::try_parse_from(all).unwrap().command else { panic!("not run") };
        *args
    }

    #[test]
    fn the_command_tree_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn without_arguments_it_runs_as_in_a_pod() {
        let args = run(&[]);
        let config = args.gateway().unwrap();
        assert_eq!(config.admin, Some(SocketAddr::from(([127, 0, 0, 1], 15000))));
        assert_eq!(config.drain_delay, Duration::from_secs(5));
        assert_eq!(config.move_privileged_ports, None);
        let options = args.discovery();
        assert_eq!(options.address.to_string(), "istiod.istio-system.svc:15012");
        assert_eq!(options.authority, options.address);
        assert_eq!(options.snapshot, Some("/var/lib/sluice".into()));
        assert_eq!(options.node.trust_domain, None);
    }

    #[test]
    fn no_variable_is_shown_to_authors_of_objects_unless_it_is_named() {
        assert!(run(&[]).gateway().unwrap().environment_allow.is_empty());
        let allowed = run(&["--environment-allow", "REGION,ZONE"]).gateway().unwrap().environment_allow;
        assert!(allowed.len() == 2 && allowed.contains("ZONE"), "{allowed:?}");
    }

    #[test]
    fn an_empty_directory_is_no_snapshot() {
        assert_eq!(run(&["--snapshot-dir", ""]).discovery().snapshot, None);
        let options = run(&["--ca-address", "ca.test:443", "--trust-domain", "td"]).discovery();
        assert_eq!(options.authority.to_string(), "ca.test:443");
        assert_eq!(options.node.trust_domain.as_deref(), Some("td"));
    }

    #[test]
    fn durations_have_units() {
        for (text, millis) in
            [("5", 5000), ("5s", 5000), ("250ms", 250), ("2m", 120_000), ("24h", 86_400_000), ("0", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "1.5s", "5 s", "5d", "99999999999999999999"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
