//! Arguments of the commands that ask a cluster; flags are called as Istio's tools call them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Which cluster, and who asks it.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct ConnectArgs {
    /// Kubeconfig file; else those of KUBECONFIG, else ~/.kube/config, else the pod's own service account
    #[arg(long, value_name = "FILE", env = "SLUICE_KUBECONFIG")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig; its current one unless said otherwise
    #[arg(long, value_name = "NAME", env = "SLUICE_CONTEXT")]
    pub(crate) context: Option<String>,

    /// Namespace of the control plane
    #[arg(short, long, value_name = "NAME", default_value = "istio-system", env = "SLUICE_ISTIO_NAMESPACE")]
    pub(crate) istio_namespace: String,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[value(alias = "log", alias = "table", alias = "short")]
    Text,
    Json,
    Yaml,
}

const ANALYZE_EXAMPLES: &str = "\
Examples:
  sluice analyze                              the namespace of the kubeconfig's context
  sluice analyze -A                           every namespace
  sluice analyze -n shop new.yaml             what the cluster would be with these files
  sluice analyze --use-kube=false -R ./config files alone, with all directories below
  sluice analyze -S 'IST0118=Service web.shop' -S 'IST0108=* *.shop'
  sluice analyze -L                           every code

Messages, codes and levels are Istio's. An object suppresses them by itself with the annotation
galley.istio.io/analyze-suppress: IST0118,IST0108 or '*'. Exit status: 0, 79 with a message at or above the
threshold, 2 when the question itself is wrong.";

/// Find mistakes in a cluster's objects, in files, or in both together, as `istioctl analyze` does
#[derive(Args, Debug)]
#[command(after_help = ANALYZE_EXAMPLES)]
pub(crate) struct AnalyzeArgs {
    /// Files and directories of YAML, laid over what the cluster has; `-` is standard input
    #[arg(value_name = "FILE", env = "SLUICE_ANALYZE_FILES")]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) connect: ConnectArgs,

    /// Namespace to tell about, and of objects in files that name none
    #[arg(short, long, value_name = "NAME", env = "SLUICE_ANALYZE_NAMESPACE")]
    pub(crate) namespace: Option<String>,

    /// Tell about every namespace
    #[arg(short = 'A', long, conflicts_with = "namespace", env = "SLUICE_ALL_NAMESPACES")]
    pub(crate) all_namespaces: bool,

    /// Look into directories below those given
    #[arg(short = 'R', long, env = "SLUICE_RECURSIVE")]
    pub(crate) recursive: bool,

    /// Whether the cluster is read; without, files are all there is
    #[arg(
        short = 'k', long, value_name = "BOOL", num_args = 0..=1, default_value_t = true, default_missing_value = "true",
        action = clap::ArgAction::Set, require_equals = true, env = "SLUICE_USE_KUBE"
    )]
    pub(crate) use_kube: bool,

    /// From which level on the exit status says so
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Threshold::Error, ignore_case = true,
        env = "SLUICE_FAILURE_THRESHOLD")]
    pub(crate) failure_threshold: Threshold,

    /// From which level on messages are shown
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Threshold::Info, ignore_case = true,
        env = "SLUICE_OUTPUT_THRESHOLD")]
    pub(crate) output_threshold: Threshold,

    /// Leave out a message: `CODE=Kind name.namespace`, `*` standing for any text
    #[arg(short = 'S', long = "suppress", value_name = "CODE=OBJECT", env = "SLUICE_SUPPRESS", value_delimiter = ';')]
    pub(crate) suppress: Vec<String>,

    /// List every code with its meaning
    #[arg(short = 'L', long, env = "SLUICE_LIST_ANALYZERS")]
    pub(crate) list_analyzers: bool,

    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text, env = "SLUICE_OUTPUT")]
    pub(crate) output: Format,
}

/// Levels of messages, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Threshold {
    Info,
    Warning,
    Error,
}

const STATUS_EXAMPLES: &str = "\
Examples:
  sluice status                               every gateway of the cluster
  sluice status edge-7d9f-x2x4z.istio-ingress one of them, with what it refused
  sluice status -o json                       for scripts

Every replica of the controller is asked through the API server (`pods/portforward`).";

/// Show every gateway: its version, its controller, whether it has the latest configuration, what it last refused
#[derive(Args, Debug)]
#[command(after_help = STATUS_EXAMPLES, visible_alias = "proxy-status", alias = "ps")]
pub(crate) struct StatusArgs {
    /// Only this gateway
    #[arg(value_name = "POD[.NAMESPACE]", env = "SLUICE_POD")]
    pub(crate) pod: Option<String>,

    #[command(flatten)]
    pub(crate) connect: ConnectArgs,

    /// Only gateways of this namespace
    #[arg(short, long, value_name = "NAME", env = "SLUICE_STATUS_NAMESPACE")]
    pub(crate) namespace: Option<String>,

    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text, env = "SLUICE_OUTPUT")]
    pub(crate) output: Format,
}

const PROXY_CONFIG_EXAMPLES: &str = "\
Examples:
  sluice proxy-config listener edge-7d9f-x2x4z.istio-ingress
  sluice proxy-config route deployment/edge -n istio-ingress --name http.8080
  sluice proxy-config endpoint edge-7d9f-x2x4z.istio-ingress --cluster 'outbound|80||web.shop.svc.cluster.local'
  sluice proxy-config log edge-7d9f-x2x4z.istio-ingress --level debug
  sluice proxy-config all edge-7d9f-x2x4z.istio-ingress -o json > dump.json
  sluice proxy-config cluster -f dump.json    without a cluster";

/// Show what a gateway has in force, or change its log level
#[derive(Args, Debug)]
#[command(after_help = PROXY_CONFIG_EXAMPLES, visible_alias = "pc")]
pub(crate) struct ProxyConfigArgs {
    #[command(subcommand)]
    pub(crate) what: ProxyConfigCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ProxyConfigCommand {
    /// Sockets, and what becomes of their connections
    #[command(visible_aliases = ["listeners", "l"])]
    Listener {
        #[command(flatten)]
        of: PodArgs,
        /// Only those that listen on this port
        #[arg(long, value_name = "PORT")]
        port: Option<u16>,
        /// Only those that listen on this address
        #[arg(long, value_name = "IP")]
        address: Option<String>,
        /// Only those of this protocol: HTTP, HTTPS or TCP
        #[arg(long = "type", value_name = "PROTOCOL")]
        kind: Option<String>,
    },
    /// Virtual hosts with their rules
    #[command(visible_aliases = ["routes", "r"])]
    Route {
        #[command(flatten)]
        of: PodArgs,
        /// Only this table, such as http.8080
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Only virtual hosts of this domain
        #[arg(long, value_name = "HOST")]
        fqdn: Option<String>,
    },
    /// Destinations
    #[command(visible_aliases = ["clusters", "c"])]
    Cluster {
        #[command(flatten)]
        of: PodArgs,
        /// Only those of a service whose name contains this
        #[arg(long, value_name = "HOST")]
        fqdn: Option<String>,
        #[arg(long, value_name = "PORT")]
        port: Option<u16>,
        #[arg(long, value_name = "NAME")]
        subset: Option<String>,
        /// `outbound` is the only one a gateway has
        #[arg(long, value_name = "DIRECTION")]
        direction: Option<String>,
    },
    /// Addresses of destinations
    #[command(visible_aliases = ["endpoints", "ep"])]
    Endpoint {
        #[command(flatten)]
        of: PodArgs,
        /// Only those of this cluster, such as outbound|80||web.shop.svc.cluster.local
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
        #[arg(long, value_name = "PORT")]
        port: Option<u16>,
        #[arg(long, value_name = "IP")]
        address: Option<String>,
        /// healthy or unhealthy
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
    },
    /// Certificates: names, validity and serial numbers, never keys
    #[command(visible_aliases = ["secrets", "s"])]
    Secret {
        #[command(flatten)]
        of: PodArgs,
    },
    /// Show or change the log level
    Log {
        #[command(flatten)]
        of: PodArgs,
        /// The new filter, such as debug or info,gateway=debug
        #[arg(long, value_name = "FILTER")]
        level: Option<String>,
        /// Back to info
        #[arg(short, long, conflicts_with = "level")]
        reset: bool,
    },
    /// All of it
    All {
        #[command(flatten)]
        of: PodArgs,
    },
}

/// Which gateway is asked, or which dump read.
#[derive(Args, Debug)]
pub(crate) struct PodArgs {
    /// The gateway's pod, or any pod of what is named as TYPE/NAME, such as deployment/edge
    #[arg(value_name = "POD[.NAMESPACE]", required_unless_present = "file")]
    pub(crate) pod: Option<String>,

    #[command(flatten)]
    pub(crate) connect: ConnectArgs,

    /// Namespace of the pod; else that of the kubeconfig's context
    #[arg(short, long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,

    /// Read a dump instead, made by `proxy-config all -o json` or the gateway's own /config_dump
    #[arg(short, long, value_name = "FILE", conflicts_with = "pod")]
    pub(crate) file: Option<PathBuf>,

    /// Port of the gateway's admin interface
    #[arg(long, value_name = "PORT", default_value_t = 15000)]
    pub(crate) proxy_admin_port: u16,

    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text, env = "SLUICE_OUTPUT")]
    pub(crate) output: Format,
}

const DIFF_EXAMPLES: &str = "\
Examples:
  sluice diff -f shop.yaml                    what would change in the cluster
  sluice diff -f ./config -o json
  helm template ./chart | sluice diff -f -    standard input

Exit status: 0 = nothing changes, 1 = something does, 2 = the files are wrong, or the question is.";

/// Show what files would change in the cluster, route by route, before they are applied
#[derive(Args, Debug)]
#[command(after_help = DIFF_EXAMPLES)]
pub(crate) struct DiffArgs {
    /// Files and directories, with everything below; `-` is standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true, num_args = 1.., env = "SLUICE_DIFF_FILES")]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) connect: ConnectArgs,

    /// Namespace of objects that name none
    #[arg(short, long, value_name = "NAME", env = "SLUICE_DIFF_NAMESPACE")]
    pub(crate) namespace: Option<String>,

    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text, env = "SLUICE_OUTPUT")]
    pub(crate) output: Format,
}
