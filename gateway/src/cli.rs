//! Arguments and environment; nothing else.

use clap::Parser;

/// The Sluice data plane.
#[derive(Debug, Parser)]
#[command(name = "sluice-gateway", version, about, long_about = None)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Says what this binary can do today: a gateway that follows a controller comes with the discovery stream; until
    /// then `sluice run` is a controller and a gateway in one process.
    Run,
}
