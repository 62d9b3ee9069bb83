//! `sluice`: run, check and explain Istio configuration, in files and in clusters. Reads the command line and hands over.

mod analyze;
mod args;
mod check;
mod configuration;
mod demo;
mod diff;
mod explain;
mod inventory;
mod kubernetes;
mod output;
mod precheck;
mod problem;
mod proxy_config;
mod run;
mod status;
mod table;
mod terminal;
mod version;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Command};
use terminal::Terminal;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The question itself was wrong: unreadable path, bad flag.
const MISUSE: u8 = 2;

fn main() -> ExitCode {
    let Cli { command, color } = Cli::parse();
    let terminal = Terminal::new(color.on_stdout());
    let result = match command {
        Command::Run(args) => run::run(*args, &terminal),
        Command::Check(args) if args.pre => precheck::precheck(&args.connect, args.output, &terminal),
        Command::Check(args) => check::check(&args, &terminal),
        Command::Explain(args) => explain::explain(&args, &terminal),
        Command::Analyze(args) => analyze::analyze(&args, &terminal),
        Command::Status(args) => status::status(&args, &terminal),
        Command::ProxyConfig(args) => proxy_config::proxy_config(&args, &terminal),
        Command::Diff(args) => diff::diff(&args, &terminal),
        Command::Version(args) => version::version(&args, &terminal).map(|()| ExitCode::SUCCESS),
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "sluice", &mut script);
            terminal.print(String::from_utf8_lossy(&script).trim_end());
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("{} {error:#}", terminal.paint().red("error:"));
        ExitCode::from(MISUSE)
    })
}
