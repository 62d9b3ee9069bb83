//! `sluice-gateway run`: a gateway that follows a controller until it is told to end.

use std::process::ExitCode;

use anyhow::Context as _;
use gateway::telemetry::logging::{self, LogLevel};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::cli::RunArgs;

/// The status of a process that was interrupted while it drained.
const INTERRUPTED: u8 = 130;
/// These carry the configuration; traffic has threads of its own.
const CONFIG_THREADS: usize = 2;

pub(crate) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let log = logging::start(&args.log, args.log_format).context("--log")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONFIG_THREADS)
        .thread_name("config")
        .enable_all()
        .build()
        .context("making the threads for configuration")?;
    let status = runtime.block_on(serve(args, log));
    runtime.shutdown_background();
    status
}

async fn serve(args: RunArgs, log: LogLevel) -> anyhow::Result<ExitCode> {
    let mut stop = Stop::listen().context("listening for signals")?;
    let gateway = gateway::start(gateway::Config { log: Some(log), ..args.gateway().context("--limit")? }).await?;
    let options = args.discovery();
    info!(
        version = env!("CARGO_PKG_VERSION"),
        controller = %options.address,
        authority = %options.authority,
        snapshots = options.snapshot.as_ref().map(|path| path.display().to_string()),
        pod = options.node.pod,
        namespace = options.node.namespace,
        service_account = options.node.service_account,
        "sluice-gateway"
    );
    let follower = tokio::select! {
        follower = gateway::discovery::follow(&gateway, options) => follower,
        () = stop.asked() => return Ok(ExitCode::SUCCESS),
    };
    stop.asked().await;
    // As long as connections are accepted the controller is followed.
    let status = tokio::select! {
        clean = gateway.drain() => {
            if !clean {
                warn!("not everything ended in time; the rest was cut off");
            }
            ExitCode::SUCCESS
        }
        () = stop.asked() => {
            warn!("told to end a second time");
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    tokio::select! {
        () = follower.stop() => {}
        () = stop.asked() => {}
    }
    Ok(status)
}

/// The signals that end a process: the first one politely, the second one at once.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// From now on the signals no longer end the process by themselves.
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
