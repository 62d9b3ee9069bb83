//! `sluice status`: every gateway, and how far each is with what its controller tells it. Each replica of the controller
//! knows those that are connected to it; together they know all.

mod row;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context as _;
use controller::admin::Connected;
use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::Api;
use kube::api::ListParams;

use crate::args::cluster::StatusArgs;
use crate::inventory::is_gateway;
use crate::kubernetes::{self, Cluster, Forward, Pod, Transport, plain};
use crate::output;
use crate::table::Table;
use crate::terminal::Terminal;
use row::Row;

/// Where a controller answers questions, on its pod's loopback address.
const DEBUG_PORT: u16 = 8080;

/// What the replicas say.
#[derive(Debug, Default)]
struct Asked {
    connected: Vec<Connected>,
    /// Replicas that did not answer, and why.
    silent: Vec<(Pod, String)>,
}

pub(crate) fn status(args: &StatusArgs, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let (asked, gateways) = kubernetes::block_on(async {
        let cluster = Cluster::connect(&args.connect).await?;
        let controllers = controllers(&cluster).await?;
        anyhow::ensure!(
            !controllers.is_empty(),
            "no controller runs in namespace {}; say where it is with -i, or install it with charts/controller",
            cluster.control_namespace
        );
        let asked = ask(&Forward::new(cluster.client.clone()), &controllers).await;
        Ok((asked, gateways(&cluster).await?))
    })?;
    let Asked { connected, silent } = asked;
    for (pod, why) in &silent {
        eprintln!("{} controller {pod} is left out: {why}", terminal.paint().yellow("warning:"));
    }
    let mut rows = rows(connected, gateways);
    rows.retain(|row| args.namespace.as_ref().is_none_or(|namespace| row.namespace == *namespace));
    if let Some(wanted) = &args.pod {
        let wanted = Pod::parse(wanted, args.namespace.as_deref(), "");
        rows.retain(|row| row.pod == wanted.name && (wanted.namespace.is_empty() || row.namespace == wanted.namespace));
        anyhow::ensure!(!rows.is_empty(), "there is no gateway {wanted}");
    }
    if !output::print(&rows, args.output, terminal)? {
        tell(&rows, args.pod.is_some(), terminal);
    }
    let complete = silent.is_empty();
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn controllers(cluster: &Cluster) -> anyhow::Result<Vec<Pod>> {
    let pods: Api<PodObject> = Api::namespaced(cluster.client.clone(), &cluster.control_namespace);
    let found = pods.list(&ListParams::default()).await.map_err(plain).with_context(|| {
        format!("pods of namespace {} cannot be listed at {}", cluster.control_namespace, cluster.server)
    })?;
    Ok(found.items.iter().filter(|pod| is_controller(pod) && runs(pod)).map(name_of).collect())
}

/// Labels of the controller chart, and those that Istio's tools look for.
fn is_controller(pod: &PodObject) -> bool {
    let labels = pod.metadata.labels.as_ref();
    let is = |name: &str, value: &str| labels.and_then(|labels| labels.get(name)).is_some_and(|found| found == value);
    is("app.kubernetes.io/name", "sluice-controller")
        || is("app", "istiod")
        || (is("app.kubernetes.io/part-of", "sluice") && is("app.kubernetes.io/component", "controller"))
}

fn runs(pod: &PodObject) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

fn name_of(pod: &PodObject) -> Pod {
    let metadata = &pod.metadata;
    Pod { namespace: metadata.namespace.clone().unwrap_or_default(), name: metadata.name.clone().unwrap_or_default() }
}

/// Gateways that should be connected. Without the right to see them, those that are connected must do.
async fn gateways(cluster: &Cluster) -> anyhow::Result<Vec<Pod>> {
    let pods: Api<PodObject> = Api::all(cluster.client.clone());
    let labels = "app.kubernetes.io/part-of=sluice,app.kubernetes.io/component=gateway";
    match pods.list(&ListParams::default().labels(labels)).await {
        Ok(found) => {
            let of_chart = |pod: &&PodObject| pod.metadata.labels.as_ref().is_some_and(is_gateway);
            Ok(found.items.iter().filter(of_chart).filter(|pod| runs(pod)).map(name_of).collect())
        }
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Vec::new()),
        Err(error) => Err(plain(error).context("pods cannot be listed")),
    }
}

/// Asks all of them at once.
async fn ask(transport: &dyn Transport, controllers: &[Pod]) -> Asked {
    let questions = controllers.iter().map(async |pod| {
        let answer = kubernetes::get(transport, pod, DEBUG_PORT, "/debug/syncz").await;
        let read = answer.and_then(|answer| {
            let body = answer.good("/debug/syncz")?;
            let not_ours = "its answer is not that of a controller of Sluice; is it another one of Istio's?";
            serde_json::from_str::<Vec<Connected>>(&body).context(not_ours)
        });
        (pod.clone(), read)
    });
    let mut asked = Asked::default();
    for (pod, answer) in futures::future::join_all(questions).await {
        match answer {
            Ok(connected) => asked.connected.extend(connected),
            Err(error) => asked.silent.push((pod, format!("{error:#}"))),
        }
    }
    asked
}

/// One row for each gateway. One that has just gone from one replica to another may be known to both: the younger
/// connection counts.
fn rows(mut connected: Vec<Connected>, gateways: Vec<Pod>) -> Vec<Row> {
    connected.sort_by(|a, b| (&a.namespace, &a.pod, b.connected_since).cmp(&(&b.namespace, &b.pod, a.connected_since)));
    connected.dedup_by(|later, first| (&later.namespace, &later.pod) == (&first.namespace, &first.pod));
    let known: BTreeSet<(String, String)> =
        connected.iter().map(|one| (one.namespace.clone(), one.pod.clone())).collect();
    let mut rows: Vec<Row> = connected.into_iter().map(Row::from).collect();
    let missing = gateways.into_iter().filter(|pod| !known.contains(&(pod.namespace.clone(), pod.name.clone())));
    rows.extend(missing.map(Row::not_connected));
    rows.sort_by(|a, b| (&a.namespace, &a.pod).cmp(&(&b.namespace, &b.pod)));
    rows
}

fn tell(rows: &[Row], whole: bool, terminal: &Terminal) {
    let paint = terminal.paint();
    if rows.is_empty() {
        terminal.print("no gateway is connected, and none of charts/gateway runs");
        return;
    }
    let mut table = Table::new(&["NAME", "VERSION", "CONNECTED", "CONTROLLER", "STATE", "RESOURCES", "LAST REFUSED"]);
    let now = jiff::Timestamp::now().as_second();
    for row in rows {
        table.row(row.cells(now));
    }
    terminal.print(&table.render(paint));
    for row in rows.iter().filter(|row| whole && !row.refused.is_empty()) {
        terminal.print(&format!("\n{} does not use:", crate::terminal::printable(&row.pod)));
        for refused in &row.refused {
            let text = format!("  {}: {}", refused.resource, refused.reason);
            terminal.print(&paint.red(&crate::terminal::printable(&text)));
        }
    }
}

#[cfg(test)]
mod tests;
