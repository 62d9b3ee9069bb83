//! `sluice diff`: what files would change in a cluster before they are applied. Both states are translated for every
//! gateway, and what differs is said in words, route by route.

mod compare;
mod words;

use std::process::ExitCode;

use serde::Serialize;
use translate::analyze::Message;

use crate::args::cluster::DiffArgs;
use crate::inventory::{self, Inventory, Workload};
use crate::kubernetes::{self, Cluster};
use crate::output;
use crate::terminal::{Paint, Terminal, printable};
use compare::{Change, Kind};

/// What changes for the gateways of one workload.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OfGateway {
    gateway: String,
    namespace: String,
    pods: Vec<String>,
    changes: Vec<Change>,
}

/// Exit statuses of `diff`.
const DIFFERENT: u8 = 1;
const TROUBLE: u8 = 2;

pub(crate) fn diff(args: &DiffArgs, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let (before, after) = kubernetes::block_on(async {
        let cluster = Cluster::connect(&args.connect).await?;
        let namespace = args.namespace.as_deref().unwrap_or(&cluster.namespace);
        let read = cluster.read().await?;
        let mut states = Vec::new();
        for files in [&[][..], &args.files] {
            let mut inventory = Inventory::new(&args.connect.istio_namespace);
            inventory.add_cluster(read.clone());
            inventory.add_files(files, true, namespace)?;
            inventory.read_secrets(&cluster).await?;
            states.push(inventory);
        }
        let after = states.pop().unwrap_or_default();
        Ok((states.pop().unwrap_or_default(), after))
    })?;
    for note in &after.notes {
        eprintln!("{} {note}", terminal.paint().yellow("note:"));
    }
    let wrong = wrong(&after);
    for text in &wrong {
        eprintln!("{} {text}", terminal.paint().red("error:"));
    }
    let gateways = changes(&before, &after);
    if !output::print(&gateways, args.output, terminal)? {
        terminal.print(&render(&gateways, terminal.paint()));
    }
    let code = match (wrong.is_empty(), gateways.is_empty()) {
        (false, _) => ExitCode::from(TROUBLE),
        (true, false) => ExitCode::from(DIFFERENT),
        (true, true) => ExitCode::SUCCESS,
    };
    Ok(code)
}

/// What admission would refuse of the files.
fn wrong(after: &Inventory) -> Vec<String> {
    let broken = after.broken.iter().map(|broken| {
        let position = broken.position;
        format!("{}:{}:{}: {}", broken.file.display(), position.line, position.column, broken.text)
    });
    let refused = after.own.iter().filter(|message| message.code.level == translate::Level::Error);
    let refused = refused.filter_map(|message| Some((after.place(&message.object)?, message)));
    let refused = refused.map(|(place, Message { object, field, text, .. })| {
        let position = place.locate(field);
        format!("{}:{}:{}: {object}: {text}", place.file.display(), position.line, position.column)
    });
    broken.chain(refused).collect()
}

fn changes(before: &Inventory, after: &Inventory) -> Vec<OfGateway> {
    let (old, new) = (before.world(), after.world());
    let mut all = after.workloads();
    let gone = before.workloads().into_iter().filter(|workload| !all.iter().any(|it| it.scope == workload.scope));
    let gone: Vec<Workload> = gone.collect();
    all.extend(gone);
    let mut gateways = Vec::new();
    for Workload { scope, pods } in all {
        let before: Vec<_> = inventory::translate(&old, &scope).resources().collect();
        let after: Vec<_> = inventory::translate(&new, &scope).resources().collect();
        let changes = compare::compare(before.iter(), after.iter());
        if !changes.is_empty() {
            gateways.push(OfGateway { gateway: scope.name, namespace: scope.namespace, pods, changes });
        }
    }
    gateways.sort_by(|a, b| (&a.namespace, &a.gateway).cmp(&(&b.namespace, &b.gateway)));
    gateways
}

fn render(gateways: &[OfGateway], paint: Paint) -> String {
    if gateways.is_empty() {
        return "nothing changes for any gateway".to_owned();
    }
    let mut lines = Vec::new();
    for OfGateway { gateway, namespace, pods, changes } in gateways {
        let pods = match pods.len() {
            0 => "no pod yet".to_owned(),
            1 => "1 pod".to_owned(),
            count => format!("{count} pods"),
        };
        lines.push(paint.bold(&printable(&format!("gateway {gateway}.{namespace} ({pods})"))));
        for Change { kind, what, removed, added } in changes {
            let title = printable(what);
            lines.push(match kind {
                Kind::Added => paint.green(&format!("  + {title}")),
                Kind::Removed => paint.red(&format!("  - {title}")),
                Kind::Changed => format!("  ~ {title}"),
                Kind::Reordered => format!("  ~ {title}: the same in another order"),
            });
            lines.extend(removed.iter().map(|line| paint.red(&format!("      - {}", printable(line)))));
            lines.extend(added.iter().map(|line| paint.green(&format!("      + {}", printable(line)))));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests;
