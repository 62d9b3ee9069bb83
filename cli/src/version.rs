//! `sluice version`.

use crds::ObjectKind;
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
    apis: Vec<String>,
}

/// Every group and version of the kinds that are understood, once.
fn apis() -> Vec<String> {
    let mut apis = Vec::new();
    for kind in ObjectKind::ALL {
        for version in kind.versions() {
            let api =
                if kind.group().is_empty() { (*version).to_owned() } else { format!("{}/{version}", kind.group()) };
            if !apis.contains(&api) {
                apis.push(api);
            }
        }
    }
    apis
}

pub(crate) fn version(args: &VersionArgs, terminal: &Terminal) -> anyhow::Result<()> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        apis: apis(),
    };
    match args.output {
        Output::Text => terminal.print(&format!("sluice {} ({})", version.version, version.platform)),
        Output::Json => terminal.print(&serde_json::to_string_pretty(&version)?),
    }
    Ok(())
}
