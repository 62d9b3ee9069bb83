//! `sluice proxy-config log`: what a gateway logs, and another level from now on.

use std::process::ExitCode;

use serde_json::json;

use super::reach;
use crate::args::cluster::PodArgs;
use crate::kubernetes::{self, AdminSocket, Forward, Pod, Transport};
use crate::output;
use crate::terminal::{Terminal, printable};

pub(super) fn log(of: &PodArgs, level: Option<&str>, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(of.file.is_none(), "a dump has no log level; name a pod");
    let (pod, now) = kubernetes::block_on(async {
        let (cluster, pod) = reach(of).await?;
        let now = match level {
            None => ask(&Forward::new(cluster.client), &pod, of.proxy_admin_port, level).await?,
            // A connection to the port may read, but not change.
            Some(_) => ask(&AdminSocket::new(cluster.client), &pod, of.proxy_admin_port, level).await?,
        };
        Ok((pod, now))
    })?;
    if !output::print(&json!({ "pod": pod.name, "namespace": pod.namespace, "level": now }), of.output, terminal)? {
        terminal.print(&format!("{pod}: {}", printable(&now)));
    }
    Ok(ExitCode::SUCCESS)
}

/// The filter that holds, after it has been changed if that is wanted.
pub(super) async fn ask(
    transport: &dyn Transport,
    pod: &Pod,
    port: u16,
    level: Option<&str>,
) -> anyhow::Result<String> {
    let answer = match level {
        None => kubernetes::get(transport, pod, port, "/logging").await?,
        Some(level) => {
            let escaped = level.replace(',', "%2C").replace('=', "%3D").replace('[', "%5B").replace(']', "%5D");
            let clean = escaped.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~%:".contains(c));
            anyhow::ensure!(clean, "{level:?} is no log filter; write it as in info,gateway=debug");
            kubernetes::post(transport, pod, port, &format!("/logging?level={escaped}")).await?
        }
    };
    Ok(answer.good("/logging")?.trim().to_owned())
}
