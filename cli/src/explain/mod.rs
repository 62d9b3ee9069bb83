//! `sluice explain`: which route a request takes, and why not another. Asks the gateway's own table and matcher, so
//! that the answer is what traffic gets; words and layout are made here.

mod answer;
mod certificate;
mod in_cluster;
mod request;
mod stand_in;
mod text;
mod walk;

use std::process::ExitCode;

use controller::{Controller, Severity, Step};
use gateway::table::compile::Compiler;
use time::OffsetDateTime;

use crate::args::{ExplainArgs, Output};
use crate::configuration;
use crate::problem;
use crate::terminal::Terminal;
use request::Question;

pub(crate) fn explain(args: &ExplainArgs, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let question = Question::parse(&args.request)?;
    let Configured { step, port, errors, checked_by } = match args.paths.as_slice() {
        [] => in_cluster::configured(args, &question)?,
        paths => {
            let (engine, step) = Controller::once(configuration::options(paths, &args.proxy)?)?;
            let errors = engine.problems().iter().filter(|problem| problem.severity == Severity::Error).count();
            Configured { step, port: engine.listening_port(question.port), errors, checked_by: "sluice check" }
        }
    };
    let compiled = Compiler::default().apply(&stand_in::with_certificates(&step.delta)?);
    let answer = walk::walk(&compiled.table, &step, &question, port, OffsetDateTime::now_utc());
    match args.output {
        Output::Json => terminal.print(&serde_json::to_string_pretty(&answer)?),
        Output::Text => {
            let paint = terminal.paint();
            terminal.print(&text::render(&answer, paint));
            // A broken object is not in the tables, which may be the whole answer.
            if errors > 0 {
                let counted = problem::counted(errors, 0);
                terminal.print(&format!("\n{} {counted}; `{checked_by}` shows them", paint.red("note:")));
            }
        }
    }
    Ok(if answer.is_routed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a gateway is told, wherever the objects came from.
struct Configured {
    step: Step,
    /// A Service in front of the gateway may call the port by another number.
    port: u16,
    /// Objects that are not in force.
    errors: usize,
    /// The command that shows them.
    checked_by: &'static str,
}
