//! `sluice check --pre`: can Sluice be installed in this cluster, by whoever asks? Asks the API server and changes
//! nothing: rights are reviewed, not tried.

mod definitions;
mod neighbours;
mod rights;
mod server;
mod verdict;

use std::process::ExitCode;

use serde::Serialize;

use crate::args::Output;
use crate::args::cluster::ConnectArgs;
use crate::kubernetes::{self, Cluster};
use crate::terminal::{Terminal, printable};
use verdict::{Level, Verdict};

#[derive(Serialize)]
struct Checked<'a> {
    installable: bool,
    checks: &'a [Verdict],
}

pub(crate) fn precheck(connect: &ConnectArgs, output: Output, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let verdicts = kubernetes::block_on(async {
        let cluster = Cluster::connect(connect).await?;
        let mut verdicts = server::check(&cluster).await?;
        verdicts.extend(definitions::check(&cluster).await?);
        verdicts.extend(rights::check(&cluster).await?);
        verdicts.extend(neighbours::check(&cluster).await?);
        Ok(verdicts)
    })?;
    let installable = verdicts.iter().all(|verdict| verdict.level != Level::Error);
    match output {
        Output::Json => {
            terminal.print(&serde_json::to_string_pretty(&Checked { installable, checks: &verdicts })?);
        }
        Output::Text => {
            let paint = terminal.paint();
            for Verdict { level, what, text, fix } in &verdicts {
                let mark = match level {
                    Level::Ok => paint.green("✔"),
                    Level::Warning => paint.yellow("!"),
                    Level::Error => paint.red("✘"),
                };
                terminal.print(&format!("{mark} {what}: {}", printable(text)));
                if let Some(fix) = fix {
                    terminal.print(&format!("  {}", paint.dim(&format!("→ {}", printable(fix)))));
                }
            }
            let end = if installable {
                paint.green("Sluice can be installed here; docs/install.md says how")
            } else {
                paint.red("Sluice cannot be installed here yet")
            };
            terminal.print(&format!("\n{end}"));
        }
    }
    Ok(if installable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
