//! The control plane as a process of its own, between a real API server and proxies without traffic: from a change of an
//! object to the last proxy's answer, what that costs, and how it comes back from the dead. Prints a table in Markdown.

mod clients;
mod objects;
mod process;
mod run;
mod table;

use std::path::PathBuf;

use clap::Parser;

/// Measures the controller against a real API server.
#[derive(Debug, Parser)]
#[command(name = "bench-control")]
struct Args {
    /// The controller to measure, built with optimisation.
    #[arg(long)]
    controller: PathBuf,
    /// How many VirtualServices there are, each with a Service and an EndpointSlice.
    #[arg(long, value_delimiter = ',', default_value = "100,1000,10000")]
    services: Vec<usize>,
    /// How many proxies are connected.
    #[arg(long, value_delimiter = ',', default_value = "1,100,1000")]
    proxies: Vec<usize>,
    /// Changes measured in each cell, one after the other.
    #[arg(long, default_value_t = 100)]
    changes: usize,
    /// Other objects that change in a second, in the cells under churn.
    #[arg(long, value_delimiter = ',', default_value = "20,50")]
    churn: Vec<u32>,
    /// Kill the controller at the end of each cell and measure how long all proxies need to be in sync again.
    #[arg(long)]
    restart: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        println!("{}", table::HEAD);
        for services in &args.services {
            run::with_services(*services, &args).await?;
        }
        Ok(())
    })
}
