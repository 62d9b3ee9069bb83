//! `sluice-gateway`: the data plane on its own.

mod ask;
mod cli;
mod run;

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli::Args { command } = cli::Args::parse();
    let result = match command {
        cli::Command::Run(args) => run::run(*args),
        cli::Command::Admin(args) => ask::ask(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("sluice-gateway: {error:#}");
        ExitCode::FAILURE
    })
}
