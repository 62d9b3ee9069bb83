//! `sluice-controller`: the control plane as a program. Reads the command line; everything else is in the library.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Control plane of Sluice.
#[derive(Parser)]
#[command(name = "sluice-controller", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the objects of a Kubernetes cluster to its gateways.
    Run,
    /// Print the version.
    Version,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run => {
            eprintln!(
                "sluice-controller {} has no Kubernetes source yet. To serve objects from files: sluice run DIRECTORY",
                env!("CARGO_PKG_VERSION")
            );
            ExitCode::FAILURE
        }
        Command::Version => {
            println!("sluice-controller {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}
