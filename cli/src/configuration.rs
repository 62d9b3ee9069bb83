//! From the command line to what the controller is to read, for whom.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use controller::source::{MeshConfigFile, Paths};
use controller::{FileChange, Options};
use translate::ProxyScope;

use crate::args::ProxyArgs;

/// The name that problems in standard input are told under.
const STDIN: &str = "<stdin>";

/// The proxy that objects are read for.
pub(crate) fn proxy(args: &ProxyArgs) -> ProxyScope {
    let defaults = ProxyScope::default();
    let labels = args.labels.0.clone();
    // What the pod of an ordinary installation is called after.
    let name = labels.get("app").or_else(|| labels.get("istio")).cloned().unwrap_or(defaults.name);
    ProxyScope { name, namespace: args.namespace.clone(), labels, ..defaults }
}

/// Files and directories; `-` is read to its end at once.
pub(crate) fn options(paths: &[PathBuf], args: &ProxyArgs) -> anyhow::Result<Options> {
    let proxy = proxy(args);
    let mut extra = Vec::new();
    let mut objects = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            extra.push(FileChange::from_text(STDIN, &text));
        } else {
            objects.push(path.clone());
        }
    }
    let namespace = proxy.control_namespace.clone();
    let mesh_config = args.mesh_config.clone().map(|path| MeshConfigFile { path, namespace });
    let limits = args.bounds().context("--limit")?.translation;
    Ok(Options { paths: Paths { objects, mesh_config }, proxy, limits, extra, adjust: None })
}
