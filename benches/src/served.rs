//! A directory of YAML that is served: the controller that `sluice run` has, the gateway it has, and a clock at the
//! places where a change passes from one to the other.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use controller::discovery::{Applied, Push};
use controller::source::Paths;
use controller::{Controller, Event, Options};
use gateway::upstream::{AddressClass, AllowedEndpoints};
use gateway::{Config, Gateway};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{self, Receiver, UnboundedReceiver, UnboundedSender};

use crate::client::Client;
use crate::shop;
use crate::stages::Stages;

/// How a file is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saving {
    /// Another file takes its name, as most editors and all deployment tools do it.
    Rename,
    /// The file is emptied and written anew.
    InPlace,
}

/// A push on its way.
#[derive(Clone, Copy, Debug)]
struct Passed {
    /// Translated.
    pushed: Instant,
    /// In force.
    applied: Instant,
}

/// Serves until dropped.
#[derive(Debug)]
pub struct Served {
    directory: TempDir,
    client: Client,
    events: Receiver<Event>,
    passed: UnboundedReceiver<Passed>,
    /// From nothing to everything in force.
    pub start: Duration,
    // Last, because it ends what the others talk to.
    _runtime: Runtime,
}

impl Served {
    /// Serves that many services, each in a file of its own.
    ///
    /// # Errors
    /// When anything of it does not start, or is not what it should be.
    pub fn start(services: usize) -> anyhow::Result<Self> {
        let directory = TempDir::new()?;
        std::fs::write(directory.path().join("gateway.yaml"), shop::GATEWAY)?;
        for number in 0..services {
            std::fs::write(path(directory.path(), number), shop::service(number, 0))?;
        }
        let begun = Instant::now();
        // Like that of `sluice run`; traffic has threads of its own.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (tell, mut events) = mpsc::channel(1_000);
        let (pass, passed) = mpsc::unbounded_channel();
        let gateway = runtime.block_on(run(directory.path(), tell, pass))?;
        let first = events.blocking_recv().context("the controller ended")?;
        let start = begun.elapsed();
        if let Some(problem) = first.problems.first() {
            bail!("the objects of the bench are wrong: {problem}");
        }
        let listeners = runtime.block_on(gateway.listeners());
        let address = *listeners.values().next().context("nothing listens")?;
        Ok(Self { directory, client: Client::connect(address)?, events, passed, start, _runtime: runtime })
    }

    /// Saves an edit of a service, waits until requests see it, and tells where the time went.
    ///
    /// # Errors
    /// When requests do not see it, or fail meanwhile.
    pub fn edit(&mut self, number: usize, edit: usize, saving: Saving) -> anyhow::Result<Stages> {
        let Self { directory, client, events, passed, .. } = self;
        let (text, host) = (shop::service(number, edit), shop::host(number));
        // What is already under way is not this edit's.
        while events.try_recv().is_ok() {}
        while passed.try_recv().is_ok() {}
        let saved = save(&path(directory.path(), number), &text, saving)?;
        let seen = client.wait_for(&host, "/version", &shop::version(edit))?;
        let Passed { pushed, applied } = passed.blocking_recv().context("the proxy is not told anything any more")?;
        let event = events.blocking_recv().context("the controller ended")?;
        if event.changed.len() != 1 || event.resources_changed != 1 {
            bail!("an edit of one object changed something else: {event:?}");
        }
        // The controller's clock ends where the proxy's answer reaches it.
        let noticed = applied.checked_sub(event.took).context("a change that was noticed before time began")?;
        Ok(Stages {
            total: seen.duration_since(saved),
            notice: noticed.saturating_duration_since(saved),
            translate: pushed.saturating_duration_since(noticed),
            compile: applied.duration_since(pushed),
        })
    }
}

fn path(directory: &Path, number: usize) -> PathBuf {
    directory.join(format!("shop-{number}.yaml"))
}

/// Saves a file; the moment returned is the one before the first byte is written.
fn save(path: &Path, text: &str, saving: Saving) -> anyhow::Result<Instant> {
    let begin = Instant::now();
    match saving {
        Saving::Rename => {
            let temporary = path.with_extension("yaml.tmp");
            std::fs::write(&temporary, text)?;
            std::fs::rename(&temporary, path)?;
        }
        Saving::InPlace => std::fs::write(path, text)?,
    }
    Ok(begin)
}

async fn run(directory: &Path, tell: mpsc::Sender<Event>, pass: UnboundedSender<Passed>) -> anyhow::Result<Gateway> {
    let free = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let config = Config {
        bind: Some([127, 0, 0, 1].into()),
        admin: free,
        metrics: free,
        ready: free,
        port_map: [(8080, 0)].into(),
        allow_endpoints: vec![AllowedEndpoints::Class(AddressClass::Loopback)],
        ..Config::default()
    };
    let gateway = gateway::start(config).await?;
    let paths = Paths { objects: vec![directory.to_owned()], ..Paths::default() };
    let controller = Controller::start(Options { paths, ..Options::default() })?;
    let (pushes, received) = mpsc::channel(1);
    tokio::spawn(controller.run(pushes, tell));
    tokio::spawn(deliver(gateway.clone(), received, pass));
    Ok(gateway)
}

async fn deliver(gateway: Gateway, mut received: Receiver<Push>, pass: UnboundedSender<Passed>) {
    while let Some(Push { sequence: _, delta, done }) = received.recv().await {
        let pushed = Instant::now();
        let applied = gateway.apply(delta).await;
        let moment = Passed { pushed, applied: Instant::now() };
        // Whoever asked may have gone away meanwhile.
        let _ = done.send(Applied { rejected: applied.rejected });
        let _ = pass.send(moment);
    }
}
