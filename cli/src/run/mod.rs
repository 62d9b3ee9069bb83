//! `sluice run`: a controller that follows files and a gateway, in one process, over the same contract as on a wire.
//! Wires them together and tells people what happens; knows nothing of what objects mean.

mod change;
mod effect;
mod ports;
mod stop;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use controller::discovery::{Applied, Push};
use controller::{Controller, Event, FileChange};
use gateway::{Gateway, ListenerEvent};
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

use crate::args::{self, RunArgs};
use crate::configuration;
use crate::demo::Demo;
use crate::terminal::Terminal;
use effect::Effects;
use ports::OwnPorts;
use stop::Stop;

/// What the lines of `run` tell anyway is not logged as well.
const QUIET: &str = "warn,controller::app=off,gateway::listener=off,gateway::app=error";
/// Added to a port that needs root.
const MOVE_BY: u16 = 8000;
/// Events that may wait to be told.
const EVENTS: usize = 64;
/// The status of a process that was interrupted.
const INTERRUPTED: u8 = 130;

pub(crate) fn run(args: RunArgs, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_new(args.log.as_deref().unwrap_or(QUIET)).context("--log is not a filter")?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(terminal.clone())
        .with_ansi(terminal.paint().is_enabled())
        .init();
    // Traffic has threads of its own; these carry files, tables, and the demo.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let status = runtime.block_on(serve(args, terminal));
    // The file watcher and what the demo left behind need not be waited for.
    runtime.shutdown_background();
    status
}

async fn serve(args: RunArgs, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let mut stop = Stop::listen()?;
    let mut demo = if args.paths.is_empty() { Some(Demo::prepare(args.bind).await?) } else { None };
    let controller = controller(&args, demo.as_ref())?;
    let own = OwnPorts::choose(&args, demo.is_some(), terminal);
    let gateway = gateway::start(gateway_config(&args, &own)?).await?;
    told_ports(&gateway, terminal);

    let (push, pushes) = mpsc::channel(1);
    let (event, events) = mpsc::channel(EVENTS);
    let controller = tokio::spawn(controller.run(push, event));
    let mut session = Session {
        gateway,
        terminal,
        demo: demo.take(),
        traffic: !args.no_traffic,
        effects: Effects::default(),
        told: Vec::new(),
        listeners: Vec::new(),
    };
    session.follow(pushes, events, &mut stop).await;
    controller.abort();
    Ok(session.end(&mut stop).await)
}

fn controller(args: &RunArgs, demo: Option<&Demo>) -> anyhow::Result<Controller> {
    let mut options = match demo {
        Some(demo) => configuration::options(&[demo.directory().to_owned()], &args.proxy)?,
        None => configuration::options(&args.paths, &args.proxy)?,
    };
    if let Some(demo) = demo {
        options.extra.push(FileChange::from_text("<demo>", &demo.secret(&args.proxy.namespace)));
    }
    Ok(Controller::start(options)?)
}

fn gateway_config(args: &RunArgs, own: &OwnPorts) -> anyhow::Result<gateway::Config> {
    Ok(gateway::Config {
        limits: args.proxy.bounds().context("--limit")?.gateway,
        threads: args.threads.map_or(0, usize::from),
        bind: args.bind,
        admin: own.admin,
        admin_socket: args.admin_socket.clone(),
        admin_token: args.admin_token_file.clone(),
        metrics: own.metrics,
        ready: own.ready,
        allow_endpoints: args.allow_endpoints.clone(),
        certificate_directories: certificate_directories(args),
        move_privileged_ports: Some(MOVE_BY),
        hostname: hostname(),
        environment: args::environment(),
        environment_allow: args.environment_allow.iter().cloned().collect(),
        ..gateway::Config::default()
    })
}

/// Where certificate files may lie: beside the configuration, and where Istio's users mount them.
fn certificate_directories(args: &RunArgs) -> Vec<PathBuf> {
    let own = args.paths.iter().filter_map(|path| {
        let path = std::path::absolute(path).ok()?;
        if path.is_dir() { Some(path) } else { path.parent().map(Path::to_owned) }
    });
    own.chain(args.certificate_dirs.iter().cloned()).collect()
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".to_owned() } else { name.trim().to_owned() }
}

/// Where the gateway's own ports are, which with port 0 nobody knows otherwise.
fn told_ports(gateway: &Gateway, terminal: &Terminal) {
    let gateway::Addresses { admin, metrics, ready } = gateway.addresses();
    let url = |what: &str, address: &Option<SocketAddr>, path: &str| {
        address.map(|address| format!("{what} http://{}{path}", ports::reachable(address)))
    };
    let parts =
        [url("ready", ready, "/healthz/ready"), url("metrics", metrics, "/stats/prometheus"), url("admin", admin, "/")];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join("   ");
    if !text.is_empty() {
        terminal.print(&terminal.paint().dim(&text));
    }
}

/// A gateway that follows a controller, with somebody watching.
struct Session<'t> {
    gateway: Gateway,
    terminal: &'t Terminal,
    demo: Option<Demo>,
    /// Whether the demo makes traffic.
    traffic: bool,
    effects: Effects,
    /// What pushes did since the last event was told.
    told: Vec<String>,
    listeners: Vec<ListenerEvent>,
}

impl Session<'_> {
    /// Until somebody asks to stop. A gateway without its controller goes on with what it has.
    async fn follow(&mut self, mut pushes: mpsc::Receiver<Push>, mut events: mpsc::Receiver<Event>, stop: &mut Stop) {
        let mut led = true;
        loop {
            let result = tokio::select! {
                () = stop.asked() => return,
                push = pushes.recv(), if led => match push {
                    Some(push) => self.apply(push).await,
                    None => {
                        led = false;
                        Err(anyhow::anyhow!("the controller has ended; what is in force stays, changes are not followed"))
                    }
                },
                Some(event) = events.recv() => self.tell(&event),
            };
            if let Err(error) = result {
                self.terminal.print(&format!("{} {error:#}", self.terminal.paint().red("error:")));
            }
        }
    }

    async fn apply(&mut self, push: Push) -> anyhow::Result<()> {
        let Push { sequence: _, delta, done } = push;
        let delta = match &mut self.demo {
            Some(demo) => demo.adjust(delta, self.terminal)?,
            None => delta,
        };
        let applied = self.gateway.apply(delta.clone()).await;
        // A controller that is gone has no use for the answer.
        let rejected = applied.rejected.into_iter().chain(applied.flawed).collect();
        let _ = done.send(Applied { rejected });
        self.listeners.extend(applied.listeners);
        self.told.extend(self.effects.observe(&delta));
        Ok(())
    }

    fn tell(&mut self, event: &Event) -> anyhow::Result<()> {
        let (effects, listeners) = (std::mem::take(&mut self.told), std::mem::take(&mut self.listeners));
        for line in change::lines(event, &effects, &listeners, self.terminal.paint()) {
            self.terminal.print(&line);
        }
        let Some(demo) = &mut self.demo else { return Ok(()) };
        if event.first {
            demo.introduce(self.terminal);
            if self.traffic {
                demo.start_traffic(self.terminal)?;
            }
        } else if event.resources_changed + event.resources_removed > 0 {
            demo.changed();
        }
        Ok(())
    }

    /// Lets what runs finish, unless asked a second time.
    async fn end(mut self, stop: &mut Stop) -> ExitCode {
        if let Some(demo) = &mut self.demo {
            demo.stop_traffic(self.terminal).await;
        }
        let open = self.gateway.open_connections();
        let connections = if open == 1 { "1 connection".to_owned() } else { format!("{open} connections") };
        let hint = self.terminal.paint().dim("Ctrl-C again quits at once");
        self.terminal.print(&format!("{}  draining {connections}  {hint}", change::now()));
        tokio::select! {
            clean = self.gateway.drain() => {
                let end = if clean { "drained" } else { "not everything ended in time; the rest was cut off" };
                self.terminal.print(&format!("{}  {end}", change::now()));
                ExitCode::SUCCESS
            }
            () = stop.asked() => ExitCode::from(INTERRUPTED),
        }
    }
}
