//! The command line: what can be asked, with an environment fallback for every option. Nothing is done here, and no
//! other file reads the environment.

pub(crate) mod cluster;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use gateway::limits::GatewayLimits;
use gateway::upstream::AllowedEndpoints;
use limits::{LimitError, Setting};
use translate::TranslationLimits;

use cluster::{AnalyzeArgs, ConnectArgs, DiffArgs, ProxyConfigArgs, StatusArgs};

const EXAMPLES: &str = "\
Examples:
  sluice run                                  the demo: an HTTPS canary on this machine
  sluice run ./config                         serve a directory of Istio YAML, follow every save
  sluice check ./config                       every mistake with file, line and column
  sluice explain ./config -- GET https://shop.example.com/cart
                                              which route a request takes, and why
  sluice check --pre                          can it be installed in this cluster
  sluice analyze -A                           every mistake in a cluster
  sluice diff -f shop.yaml                    what a file would change in a cluster
  sluice status                               every gateway, and whether it is in sync

Every option can also be set in the environment; --help of a command names the variable.";

#[derive(Parser, Debug)]
#[command(
    name = "sluice",
    version,
    about = "Run, check and explain Istio configuration, in files and in clusters",
    long_about = "Run, check and explain Istio configuration: in files, where no cluster is needed, and in clusters.",
    after_help = EXAMPLES,
    max_term_width = 110,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Colour in the output; `auto` means on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto, env = "SLUICE_COLOR")]
    pub(crate) color: Color,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Run(Box<RunArgs>),
    Check(CheckArgs),
    Explain(ExplainArgs),
    Analyze(AnalyzeArgs),
    Status(StatusArgs),
    ProxyConfig(ProxyConfigArgs),
    Diff(DiffArgs),
    Version(VersionArgs),
    Completions(CompletionsArgs),
}

const RUN_EXAMPLES: &str = "\
Examples:
  sluice run                                  the demo; edit the YAML it names and watch the traffic shift
  sluice run --no-traffic                     the demo without its own traffic
  sluice run ./config                         a directory, with everything below it
  sluice run gateway.yaml shop.yaml           files
  sluice run ./config --bind 127.0.0.1        reachable from this machine only
  sluice run ./config --labels istio=edge --namespace edge
                                              play the gateway that objects call `istio: edge`
  sluice run ./config --mesh-config mesh.yaml e.g. with `accessLogFile: /dev/stdout`

Gateways open the ports they name. Port 80 and 443 without root become 8080 and 8443. Ctrl-C drains, a second
Ctrl-C quits at once.";

/// Serve Istio YAML: controller and gateway in one process; without PATH, a demo
#[derive(Args, Debug)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    /// Files and directories of Istio YAML; none = the demo
    #[arg(value_name = "PATH", env = "SLUICE_CONFIG")]
    pub(crate) paths: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) proxy: ProxyArgs,

    /// Address that listeners bind to; all of them unless said otherwise
    #[arg(long, value_name = "ADDR", env = "SLUICE_BIND")]
    pub(crate) bind: Option<IpAddr>,

    /// Endpoints of this machine and its links that may be connected to: loopback, unspecified, link-local, metadata,
    /// multicast, broadcast, unix, or networks. The gateway's own ports never are
    #[arg(
        long,
        value_name = "CLASS|CIDR",
        value_delimiter = ',',
        default_value = "loopback,unix",
        env = "SLUICE_ALLOW_ENDPOINTS"
    )]
    pub(crate) allow_endpoints: Vec<AllowedEndpoints>,

    /// Directories, beside those of PATH, below which certificate files lie that objects name
    #[arg(
        long = "certificate-dir",
        value_name = "DIR",
        value_delimiter = ',',
        default_value = "/etc/istio,/etc/certs",
        env = "SLUICE_CERTIFICATE_DIRS"
    )]
    pub(crate) certificate_dirs: Vec<PathBuf>,

    /// Port of the admin interface, on the loopback address; 0 = any free port
    #[arg(long, value_name = "PORT", default_value_t = 15000, env = "SLUICE_ADMIN_PORT")]
    pub(crate) admin_port: u16,

    /// Unix socket of the admin interface, mode 0600, by which it changes something
    #[arg(long, value_name = "PATH", env = "SLUICE_ADMIN_SOCKET")]
    pub(crate) admin_socket: Option<PathBuf>,

    /// Holds a token by which the admin port changes something
    #[arg(long, value_name = "FILE", env = "SLUICE_ADMIN_TOKEN_FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,

    /// Port of /stats/prometheus; 0 = any free port
    #[arg(long, value_name = "PORT", default_value_t = 15020, env = "SLUICE_METRICS_PORT")]
    pub(crate) metrics_port: u16,

    /// Port of /healthz/ready; 0 = any free port
    #[arg(long, value_name = "PORT", default_value_t = 15021, env = "SLUICE_READY_PORT")]
    pub(crate) ready_port: u16,

    /// Threads that carry traffic; one per core unless said otherwise
    #[arg(long, value_name = "N", env = "SLUICE_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// Variables of the gateway's environment that `%ENVIRONMENT(NAME)%` shows in objects, which is to say to their
    /// authors; the format of the access log shows any
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', env = "SLUICE_ENVIRONMENT_ALLOW")]
    pub(crate) environment_allow: Vec<String>,

    /// Log filter, as in `info` or `gateway=debug`; unless given, warnings that no line of `run` tells
    #[arg(long, value_name = "FILTER", env = "SLUICE_LOG")]
    pub(crate) log: Option<String>,

    /// Demo only: leave out the built-in traffic
    #[arg(long, env = "SLUICE_NO_TRAFFIC")]
    pub(crate) no_traffic: bool,
}

/// Which gateway the objects are read for.
#[derive(Args, Debug, Clone)]
pub(crate) struct ProxyArgs {
    /// Labels of the gateway, which `selector` of a Gateway is compared with
    #[arg(
        long,
        value_name = "K=V,…",
        default_value = "istio=ingressgateway,app=istio-ingressgateway",
        env = "SLUICE_LABELS"
    )]
    pub(crate) labels: Labels,

    /// Namespace of the gateway, where Secrets of `credentialName` are looked up
    #[arg(long, value_name = "NAME", default_value = "istio-system", env = "SLUICE_NAMESPACE")]
    pub(crate) namespace: String,

    /// MeshConfig as YAML; beats a ConfigMap `istio` among the objects
    #[arg(long, value_name = "FILE", env = "SLUICE_MESH_CONFIG")]
    pub(crate) mesh_config: Option<PathBuf>,

    /// A bound, as in `matches-per-virtual-service=8192`; docs/limits.md lists them
    #[arg(long = "limit", value_name = "NAME=VALUE", value_delimiter = ',', env = "SLUICE_LIMITS")]
    pub(crate) limits: Vec<Setting>,
}

/// The bounds of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) translation: TranslationLimits,
    pub(crate) gateway: GatewayLimits,
}

impl ProxyArgs {
    /// What `--limit` says.
    ///
    /// # Errors
    /// A bound that is not one, or a value outside its range.
    pub(crate) fn bounds(&self) -> Result<Bounds, LimitError> {
        let mut settings = self.limits.clone();
        let translation = TranslationLimits::from_settings(&mut settings)?;
        let gateway = GatewayLimits::from_settings(&mut settings)?;
        limits::unknown(&settings)?;
        Ok(Bounds { translation, gateway })
    }
}

const CHECK_EXAMPLES: &str = "\
Examples:
  sluice check ./config
  sluice check gateway.yaml shop.yaml
  helm template ./chart | sluice check -      standard input
  sluice check ./config -o json               for editors and CI
  sluice check --pre                          can Sluice be installed in this cluster

Exit status: 0 without errors (warnings are told), 1 with errors, 2 when the question itself is wrong.";

/// Name every mistake in Istio YAML, with file, line and column; with --pre, what hinders an installation
#[derive(Args, Debug)]
#[command(after_help = CHECK_EXAMPLES)]
pub(crate) struct CheckArgs {
    /// Files and directories; `-` is standard input
    #[arg(value_name = "PATH", required_unless_present = "pre")]
    pub(crate) paths: Vec<PathBuf>,

    /// Look at a cluster instead: can Sluice be installed there
    #[arg(long, conflicts_with = "paths", env = "SLUICE_PRE")]
    pub(crate) pre: bool,

    #[command(flatten)]
    pub(crate) proxy: ProxyArgs,

    #[command(flatten)]
    pub(crate) connect: ConnectArgs,

    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Output::Text, env = "SLUICE_OUTPUT")]
    pub(crate) output: Output,
}

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  sluice explain ./config -- GET https://shop.example.com/cart
  sluice explain ./config -- https://shop.example.com/cart -H 'cookie: user=jason'
  sluice explain ./config -- POST http://shop.example.com:8080/api -H end-user:jason --from 10.1.2.3
  sluice explain ./config -o json -- GET https://shop.example.com/
  sluice explain -- https://shop.example.com/ without files: in the cluster of the kubeconfig
  sluice explain --gateway edge.istio-ingress -- https://shop.example.com/
                                              at one of the cluster's gateways

The answer comes from the tables and the matcher that carry traffic. Exit status: 0 = the request is routed,
1 = it is not (no listener, no host, no route), 2 when the question itself is wrong.";

/// Show which route a request takes, and why the others do not match
#[derive(Args, Debug)]
#[command(
    after_help = EXPLAIN_EXAMPLES,
    override_usage = "sluice explain [OPTIONS] [PATH]… -- [METHOD] <URL> [-H <NAME: VALUE>]… [--from <IP>]"
)]
pub(crate) struct ExplainArgs {
    /// Files and directories of Istio YAML; `-` is standard input; none = the cluster of the kubeconfig
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) proxy: ProxyArgs,

    #[command(flatten)]
    pub(crate) connect: ConnectArgs,

    /// Which of the cluster's gateways is asked about: its Deployment's name or a pod's
    #[arg(long, value_name = "NAME[.NAMESPACE]", conflicts_with = "paths", env = "SLUICE_GATEWAY")]
    pub(crate) gateway: Option<String>,

    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Output::Text, env = "SLUICE_OUTPUT")]
    pub(crate) output: Output,

    /// The request: method (GET unless given), URL, -H 'name: value' for each header, --from IP
    #[arg(value_name = "REQUEST", last = true, required = true)]
    pub(crate) request: Vec<String>,
}

/// What stands behind `--` of `explain`; read by a parser of its own so that options may follow the URL.
#[derive(Parser, Debug)]
#[command(no_binary_name = true, disable_help_flag = true, name = "sluice explain PATH… --")]
pub(crate) struct RequestArgs {
    /// Method (GET unless given) and URL
    #[arg(value_name = "[METHOD] URL", required = true, num_args = 1..=2)]
    pub(crate) target: Vec<String>,

    /// A header line, as with curl
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,

    /// Address that the request comes from
    #[arg(long, value_name = "IP")]
    pub(crate) from: Option<IpAddr>,
}

/// Print the version
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sluice version\n  sluice version -o json")]
pub(crate) struct VersionArgs {
    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Output::Text, env = "SLUICE_OUTPUT")]
    pub(crate) output: Output,
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  sluice completions bash > ~/.local/share/bash-completion/completions/sluice
  sluice completions zsh > \"${fpath[1]}/_sluice\"
  sluice completions fish > ~/.config/fish/completions/sluice.fish";

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct CompletionsArgs {
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// Whether standard output is written in colour.
    pub(crate) fn on_stdout(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => std::io::stdout().is_terminal() && !unwanted(),
        }
    }
}

/// Whether the environment asks for plain text (no-color.org) or the terminal knows nothing else.
fn unwanted() -> bool {
    let set = |value: Option<OsString>| value.is_some_and(|value| !value.is_empty());
    set(std::env::var_os("NO_COLOR")) || std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// What `%ENVIRONMENT(X)%` gives in access logs, and in headers as far as `--environment-allow` names it.
pub(crate) fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// `key=value` pairs, separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labels(pub(crate) BTreeMap<String, String>);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LabelsError {
    #[error("{text:?} is not of the form key=value")]
    NotAPair { text: String },
    #[error("label {key} is given twice")]
    Twice { key: String },
}

impl std::str::FromStr for Labels {
    type Err = LabelsError;

    fn from_str(text: &str) -> Result<Self, LabelsError> {
        let mut labels = BTreeMap::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .ok_or_else(|| LabelsError::NotAPair { text: pair.to_owned() })?;
            if labels.insert(key.trim().to_owned(), value.trim().to_owned()).is_some() {
                return Err(LabelsError::Twice { key: key.trim().to_owned() });
            }
        }
        Ok(Self(labels))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_tree_is_consistent() {
        Cli::command().debug_assert();
        RequestArgs::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Examples:"), "{} has none", command.get_name());
        }
    }

    #[test]
    fn labels_are_pairs() {
        let labels: Labels = "istio=edge, app=x,empty=".parse().unwrap();
        assert_eq!(labels.0.get("app").map(String::as_str), Some("x"));
        assert_eq!(labels.0.get("empty").map(String::as_str), Some(""));
        assert!("istio".parse::<Labels>().is_err());
        assert!("=x".parse::<Labels>().is_err());
        assert!("a=1,a=2".parse::<Labels>().is_err());
    }
}
