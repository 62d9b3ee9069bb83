//! `sluice version`.

use serde::Serialize;

use crate::args::{Output, VersionArgs};
use crate::terminal::Terminal;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    version: &'static str,
    /// Operating system and processor.
    platform: String,
    /// API groups and versions that are read.
    apis: &'static [&'static str],
}

const APIS: &[&str] = &[
    "networking.istio.io/v1",
    "networking.istio.io/v1beta1",
    "networking.istio.io/v1alpha3",
    "discovery.k8s.io/v1",
    "v1",
];

pub(crate) fn version(args: &VersionArgs, terminal: &Terminal) -> anyhow::Result<()> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        apis: APIS,
    };
    match args.output {
        Output::Text => terminal.print(&format!("sluice {} ({})", version.version, version.platform)),
        Output::Json => terminal.print(&serde_json::to_string_pretty(&version)?),
    }
    Ok(())
}
