//! `sluice analyze`: what is wrong with a cluster's objects, with files, or with both together, in the codes and forms of
//! `istioctl analyze`. What is wrong is `translate`'s to say.

mod finding;
mod suppress;

use std::process::ExitCode;

use translate::analyze::{CODES, Message, analyze as ask, finish};

use crate::args::cluster::{AnalyzeArgs, Format, Threshold};
use crate::inventory::{self, Inventory};
use crate::kubernetes::{self, Cluster};
use crate::output;
use crate::table::Table;
use crate::terminal::Terminal;
use finding::Finding;
use suppress::Suppression;

/// As Istio's tools exit when there is something to tell.
const FOUND: u8 = 79;

pub(crate) fn analyze(args: &AnalyzeArgs, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    if args.list_analyzers {
        list(args.output, terminal)?;
        return Ok(ExitCode::SUCCESS);
    }
    anyhow::ensure!(args.use_kube || !args.files.is_empty(), "without a cluster there must be files to analyze");
    let suppressed: Vec<Suppression> = args.suppress.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let (inventory, namespace) = kubernetes::block_on(read(args))?;
    let findings = findings(&inventory, namespace.as_deref(), &suppressed);
    for note in &inventory.notes {
        eprintln!("{} {note}", terminal.paint().yellow("note:"));
    }
    tell(&findings, args, namespace.as_deref(), terminal)
}

/// Everything there is, and the namespace to tell about; `None` is all of them.
async fn read(args: &AnalyzeArgs) -> anyhow::Result<(Inventory, Option<String>)> {
    let mut inventory = Inventory::new(&args.connect.istio_namespace);
    let mut namespace = args.namespace.clone();
    let cluster = if args.use_kube { Some(Cluster::connect(&args.connect).await?) } else { None };
    if let Some(cluster) = &cluster {
        if !args.all_namespaces {
            namespace.get_or_insert_with(|| cluster.namespace.clone());
        }
        inventory.add_cluster(cluster.read().await?);
    }
    let otherwise = cluster.as_ref().map_or("default", |cluster| &cluster.namespace);
    inventory.add_files(&args.files, args.recursive, namespace.as_deref().unwrap_or(otherwise))?;
    if let Some(cluster) = &cluster {
        inventory.read_secrets(cluster).await?;
    }
    Ok((inventory, namespace))
}

/// Everything to tell, in order.
fn findings(inventory: &Inventory, namespace: Option<&str>, suppressed: &[Suppression]) -> Vec<Finding> {
    let world = inventory.world();
    let mut messages = ask(&world, inventory.control_namespace());
    messages.extend(inventory.own.iter().cloned());
    for workload in inventory.workloads() {
        let translator = inventory::translate(&world, &workload.scope);
        let reports = translator.reports().filter(|report| !inventory.is_unknowable(report, &workload));
        messages.extend(reports.map(|report| Message::from(&report)));
    }
    let wanted = |message: &Message| {
        let here =
            namespace.is_none_or(|wanted| message.object.namespace == wanted || message.object.namespace.is_empty());
        (here || inventory.place(&message.object).is_some())
            && !suppressed.iter().any(|one| one.covers(message.code.code, &message.object))
    };
    let mut findings: Vec<Finding> = inventory.broken.iter().map(Finding::broken).collect();
    let messages = finish(messages, &world).into_iter().filter(wanted);
    findings.extend(messages.map(|message| Finding::new(message, inventory)));
    findings
}

fn tell(
    findings: &[Finding],
    args: &AnalyzeArgs,
    namespace: Option<&str>,
    terminal: &Terminal,
) -> anyhow::Result<ExitCode> {
    let shown: Vec<&Finding> = findings.iter().filter(|finding| finding.threshold() >= args.output_threshold).collect();
    let failed = findings.iter().any(|finding| finding.threshold() >= args.failure_threshold);
    if !output::print(&shown, args.output, terminal)? {
        for finding in &shown {
            terminal.print(&finding.render(terminal.paint()));
        }
        let whole = namespace.map_or("all namespaces".to_owned(), |namespace| format!("namespace: {namespace}"));
        if findings.is_empty() {
            eprintln!("{} No validation issues found when analyzing {whole}.", terminal.paint().green("✔"));
        } else if failed {
            eprintln!("Error: Analyzers found issues when analyzing {whole}.");
        }
    }
    Ok(if failed { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

fn list(format: Format, terminal: &Terminal) -> anyhow::Result<()> {
    let codes: Vec<serde_json::Value> = CODES
        .iter()
        .map(|code| {
            serde_json::json!({
                "code": code.code, "name": code.name, "level": finding::level(code.level), "meaning": code.meaning,
                "documentationUrl": code.documentation_url(),
            })
        })
        .collect();
    if !output::print(&codes, format, terminal)? {
        let mut table = Table::new(&["CODE", "LEVEL", "NAME", "MEANING"]);
        for code in CODES {
            let cells = [code.code, finding::level(code.level), code.name, code.meaning];
            table.row(cells.iter().map(ToString::to_string).collect());
        }
        terminal.print(&table.render(terminal.paint()));
    }
    Ok(())
}

impl From<translate::Level> for Threshold {
    fn from(level: translate::Level) -> Self {
        match level {
            translate::Level::Info => Self::Info,
            translate::Level::Warning => Self::Warning,
            translate::Level::Error => Self::Error,
        }
    }
}
