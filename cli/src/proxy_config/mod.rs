//! `sluice proxy-config`: what a gateway has in force, asked of the gateway itself through the API server, or read from a
//! dump. Changes nothing but its log level.

mod dump;
mod log;
mod rows;

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::args::cluster::{PodArgs, ProxyConfigArgs, ProxyConfigCommand};
use crate::kubernetes::{self, Cluster, Forward, Pod, Transport};
use crate::output;
use crate::table::Table;
use crate::terminal::Terminal;
use dump::Dump;

pub(crate) fn proxy_config(args: &ProxyConfigArgs, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    match &args.what {
        ProxyConfigCommand::Listener { of, port, address, kind } => {
            let filter = rows::ListenerFilter { port: *port, address: address.as_deref(), kind: kind.as_deref() };
            show(of, terminal, |dump| rows::listeners(dump, &filter))
        }
        ProxyConfigCommand::Route { of, name, fqdn } => {
            show(of, terminal, |dump| rows::routes(dump, name.as_deref(), fqdn.as_deref()))
        }
        ProxyConfigCommand::Cluster { of, fqdn, port, subset, direction } => {
            let (fqdn, subset, direction) = (fqdn.as_deref(), subset.as_deref(), direction.as_deref());
            let filter = rows::ClusterFilter { fqdn, port: *port, subset, direction };
            show(of, terminal, |dump| rows::clusters(dump, &filter))
        }
        ProxyConfigCommand::Endpoint { of, cluster, port, address, status } => {
            let (cluster, address, status) = (cluster.as_deref(), address.as_deref(), status.as_deref());
            let filter = rows::EndpointFilter { cluster, port: *port, address, status };
            show(of, terminal, |dump| rows::endpoints(dump, &filter))
        }
        ProxyConfigCommand::Secret { of } => show(of, terminal, rows::secrets),
        ProxyConfigCommand::All { of } => all(of, terminal),
        ProxyConfigCommand::Log { of, level, reset } => {
            let level = if *reset { Some("info") } else { level.as_deref() };
            log::log(of, level, terminal)
        }
    }
}

/// What a filter leaves, as data and as a table.
struct Shown {
    data: Value,
    table: Table,
}

fn show(of: &PodArgs, terminal: &Terminal, pick: impl FnOnce(&Dump) -> Shown) -> anyhow::Result<ExitCode> {
    let Shown { data, table } = pick(&dump_of(of)?);
    if !output::print(&data, of.output, terminal)? {
        terminal.print(&table.render(terminal.paint()));
    }
    Ok(ExitCode::SUCCESS)
}

fn all(of: &PodArgs, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let dump = dump_of(of)?;
    if output::print(&dump.whole, of.output, terminal)? {
        return Ok(ExitCode::SUCCESS);
    }
    let parts = [
        rows::listeners(&dump, &rows::ListenerFilter::default()),
        rows::routes(&dump, None, None),
        rows::clusters(&dump, &rows::ClusterFilter::default()),
        rows::endpoints(&dump, &rows::EndpointFilter::default()),
        rows::secrets(&dump),
    ];
    let shown = parts.iter().filter(|part| !part.table.is_empty());
    let texts: Vec<String> = shown.map(|part| part.table.render(terminal.paint())).collect();
    terminal.print(&texts.join("\n\n"));
    Ok(ExitCode::SUCCESS)
}

fn dump_of(of: &PodArgs) -> anyhow::Result<Dump> {
    if let Some(file) = &of.file {
        let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        return Dump::read(&text).with_context(|| format!("{} is no dump of a gateway", file.display()));
    }
    kubernetes::block_on(async {
        let (cluster, pod) = reach(of).await?;
        fetch(&Forward::new(cluster.client), &pod, of.proxy_admin_port).await
    })
}

async fn reach(of: &PodArgs) -> anyhow::Result<(Cluster, Pod)> {
    let cluster = Cluster::connect(&of.connect).await?;
    let text = of.pod.as_deref().context("which gateway? Name its pod")?;
    let pod = cluster.pod(text, of.namespace.as_deref()).await?;
    Ok((cluster, pod))
}

/// Asks a gateway for everything.
async fn fetch(transport: &dyn Transport, pod: &Pod, port: u16) -> anyhow::Result<Dump> {
    let mut whole = json!({});
    for part in ["config_dump", "certs", "discovery"] {
        let body = kubernetes::get(transport, pod, port, &format!("/{part}")).await?.good(&format!("/{part}"))?;
        let not_ours = || format!("/{part} of pod {pod} is not that of a gateway of Sluice");
        whole[part] = serde_json::from_str(&body).with_context(not_ours)?;
    }
    Dump::new(whole).with_context(|| format!("pod {pod} is no gateway of Sluice"))
}

#[cfg(test)]
mod tests;
