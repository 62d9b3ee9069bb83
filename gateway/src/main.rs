//! `sluice-gateway`: the data plane on its own.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli::Args { command } = cli::Args::parse();
    match command {
        cli::Command::Run => {
            eprintln!(
                "sluice-gateway: there is no controller to follow yet: the discovery stream is not built. \
                 Use `sluice run DIR`, which serves a directory of Istio YAML from one process."
            );
            ExitCode::from(2)
        }
    }
}
