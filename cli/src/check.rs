//! `sluice check`: every problem of the files, as text or JSON. What is a problem is decided by `translate`, where it
//! stands by the controller; here it is only told.

use std::process::ExitCode;

use controller::{Controller, Diagnostic, Severity};
use serde::Serialize;

use crate::args::{CheckArgs, Output};
use crate::configuration;
use crate::problem;
use crate::terminal::Terminal;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Findings<'a> {
    /// Objects that are in force.
    objects: usize,
    errors: usize,
    warnings: usize,
    problems: &'a [Diagnostic],
}

pub(crate) fn check(args: &CheckArgs, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let (engine, _) = Controller::once(configuration::options(&args.paths, &args.proxy)?)?;
    let problems = engine.problems();
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let objects = engine.store().len();
    match args.output {
        Output::Json => {
            let findings = Findings { objects, errors, warnings, problems };
            terminal.print(&serde_json::to_string_pretty(&findings)?);
        }
        Output::Text => {
            let paint = terminal.paint();
            for problem in problems {
                terminal.print(&format!("{}\n", problem::render(problem, paint)));
            }
            let counted = problem::counted(errors, warnings);
            let counted = match (errors, warnings) {
                (0, 0) => paint.green(&counted),
                (0, _) => paint.yellow(&counted),
                (_, _) => paint.red(&counted),
            };
            let noun = if objects == 1 { "object" } else { "objects" };
            terminal.print(&format!("{objects} {noun}, {counted}"));
        }
    }
    Ok(if errors > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
