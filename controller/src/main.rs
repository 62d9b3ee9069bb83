//! `sluice-controller`: the control plane as a program. Starts it, waits for the end, ends it in order; everything else
//! is in the library.

mod cli;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use controller::{cluster, logging};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::Cli::parse().command {
        cli::Command::Run(run) => match start(*run) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                // The log may not have been started.
                error!(error = format!("{failure:#}"), "the controller ends");
                eprintln!("sluice-controller: {failure:#}");
                ExitCode::FAILURE
            }
        },
        cli::Command::Version => {
            println!("sluice-controller {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}

fn start(run: cli::Run) -> anyhow::Result<()> {
    // The one crypto provider; the first to ask would decide otherwise.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let log_level = logging::start(&run.log, run.log_format)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if run.threads > 0 {
        runtime.worker_threads(run.threads);
    }
    runtime.enable_all().build().context("cannot start threads")?.block_on(async {
        info!(version = env!("CARGO_PKG_VERSION"), namespace = run.namespace, replica = run.name, "controller starts");
        let mut config = kube::Config::infer().await.context("there is no way to an API server")?;
        controller::source::kube::prepare(&mut config);
        let client = kube::Client::try_from(config).context("cannot make a client for the API server")?;
        let running = cluster::start(client, run.options().context("--limit")?, log_level).await?;
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let failed = tokio::select! {
            _ = terminate.recv() => false,
            _ = interrupt.recv() => false,
            () = running.failed() => true,
        };
        info!(failed, "the end begins");
        tokio::select! {
            () = running.end() => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        anyhow::ensure!(!failed, "nothing more is heard of the cluster");
        anyhow::Ok(())
    })
}
