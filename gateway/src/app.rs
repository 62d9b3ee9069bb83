//! Builds and wires all parts; start and drain order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ir::Delta;
use rustls_pki_types::CertificateDer;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin::{self, Access};
use crate::descriptors;
use crate::discovery::state::State;
use crate::drain;
use crate::identity::Identity;
use crate::limits::GatewayLimits;
use crate::listener::reconcile::{Binding, ListenerEvent, Listeners};
use crate::table::Table;
use crate::table::compile::{Compiler, Rejected};
use crate::telemetry::access_log::{Lines, Writer};
use crate::telemetry::logging::LogLevel;
use crate::telemetry::metrics::Metrics;
use crate::tls::files::{Files, Found, Rules};
use crate::upstream::resolve::{self, Resolver};
use crate::upstream::{AllowedEndpoints, Guard};
use crate::worker::{Environment, Handle, Shared};

/// How long a change waits for certificate files that it names; later ones come in force by themselves.
const FILES_PATIENCE: Duration = Duration::from_millis(250);

/// Answers of name servers that may wait to be put in force.
const RESOLUTIONS_WAITING: usize = 64;

/// Contents of certificate files that may wait to be put in force.
const FILES_WAITING: usize = 64;

/// How often a listener that could not be bound is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How a gateway runs. What it serves comes later, by [`Gateway::apply`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Traffic threads; 0 = one per core.
    pub threads: usize,
    /// Binds listeners to this address instead of every one.
    pub bind: Option<IpAddr>,
    /// Where the admin interface listens; `None` = nowhere. Port 0 = any free one. It is meant for loopback.
    pub admin: Option<SocketAddr>,
    /// A unix socket for the admin interface, by which alone it changes something; `None` = nowhere.
    pub admin_socket: Option<PathBuf>,
    /// Holds a token by which the admin port changes something, too.
    pub admin_token: Option<PathBuf>,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// Where readiness is served.
    pub ready: Option<SocketAddr>,
    /// Endpoints on loopback, link-local and the like that may be connected to all the same; none by default. The
    /// gateway's own ports never are.
    pub allow_endpoints: Vec<AllowedEndpoints>,
    /// Certificate files that objects name lie below one of these.
    pub certificate_directories: Vec<PathBuf>,
    /// Added to the number of a port that may not be bound; `None` = such a port is an error.
    pub move_privileged_ports: Option<u16>,
    /// Ports to bind instead of those asked for; 0 = any free one.
    pub port_map: BTreeMap<u16, u16>,
    /// How long connections are still accepted after readiness was taken away.
    pub drain_delay: Duration,
    /// After that, until what is still running is cut off; `None` = as long as the configuration says.
    pub drain_timeout: Option<Duration>,
    /// Bounds of the process.
    pub limits: GatewayLimits,
    /// What `%HOSTNAME%` gives.
    pub hostname: String,
    /// What `%ENVIRONMENT(X)%` gives in the access log format of the mesh configuration.
    pub environment: HashMap<String, String>,
    /// Names of variables that it gives in objects, too, which is to say to their authors.
    pub environment_allow: HashSet<String>,
    /// By which the admin interface changes what is logged; `None` = it cannot.
    pub log: Option<LogLevel>,
}

impl Default for Config {
    fn default() -> Self {
        let loopback = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        let everywhere = |port| Some(SocketAddr::from(([0, 0, 0, 0], port)));
        Self {
            threads: 0,
            bind: None,
            admin: loopback(15000),
            admin_socket: None,
            admin_token: None,
            metrics: everywhere(15020),
            ready: everywhere(15021),
            allow_endpoints: Vec::new(),
            certificate_directories: Vec::new(),
            move_privileged_ports: None,
            port_map: BTreeMap::new(),
            drain_delay: Duration::ZERO,
            drain_timeout: None,
            limits: GatewayLimits::default(),
            hostname: String::new(),
            environment: HashMap::new(),
            environment_allow: HashSet::new(),
            log: None,
        }
    }
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("starting a traffic thread")]
    Thread(#[source] std::io::Error),
    #[error("binding the {what} port {address}")]
    Bind {
        what: &'static str,
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
}

/// What a delta led to.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// Resources that were refused, with reasons; their versions before stay in force.
    pub rejected: Vec<Rejected>,
    /// Resources in force of which a part cannot be used, with reasons.
    pub flawed: Vec<Rejected>,
    pub listeners: Vec<ListenerEvent>,
    /// From the call to the table in force with all its listeners bound.
    pub took: Duration,
    /// Routes in force.
    pub routes: usize,
}

/// Where a gateway's own ports ended up.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    pub admin: Option<SocketAddr>,
    pub metrics: Option<SocketAddr>,
    pub ready: Option<SocketAddr>,
}

enum Command {
    Apply(Delta, Option<Instant>, oneshot::Sender<Applied>),
    Addresses(oneshot::Sender<BTreeMap<ir::ListenerName, SocketAddr>>),
    Versions(oneshot::Sender<Vec<(ir::Key, Arc<str>)>>),
    Certificates(oneshot::Sender<Vec<Served>>),
}

/// A certificate chain for clients, and where it comes from; empty while it cannot be used.
pub(crate) type Served = (ir::CertificateSource, Vec<CertificateDer<'static>>);

/// A running gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    commands: mpsc::UnboundedSender<Command>,
    shared: Arc<Shared>,
    ready: watch::Sender<bool>,
    addresses: Addresses,
    drain_delay: Duration,
    drain_timeout: Option<Duration>,
    finished: watch::Receiver<bool>,
    following: Arc<State>,
    log: Option<LogLevel>,
}

/// Starts the threads and the gateway's own ports. It is not ready before the first [`Gateway::apply`].
///
/// # Errors
/// When a thread cannot be made or one of the gateway's own ports cannot be bound.
pub async fn start(config: Config) -> Result<Gateway, StartError> {
    // An error means that the process has a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Config {
        threads,
        bind,
        admin,
        admin_socket,
        admin_token,
        metrics: metrics_address,
        ready: ready_address,
        allow_endpoints,
        certificate_directories,
        move_privileged_ports,
        port_map,
        drain_delay,
        drain_timeout,
        limits,
        hostname,
        environment,
        environment_allow,
        log,
    } = config;
    descriptors::raise();
    let metrics = Arc::new(Metrics::new());
    let environment = Environment { variables: environment, allowed: environment_allow };
    let shared = Arc::new(Shared::new(limits, Arc::clone(&metrics), hostname, environment));
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    };
    let lines: Vec<Arc<Lines>> = (0..threads).map(|_| Arc::default()).collect();
    let mut workers = Vec::with_capacity(threads);
    for (index, lines) in lines.iter().enumerate() {
        let worker = Handle::start(index, Arc::clone(&shared), Arc::clone(lines)).map_err(StartError::Thread)?;
        workers.push(worker);
    }
    let (ready, ready_seen) = watch::channel(false);
    let (commands, received) = mpsc::unbounded_channel();
    let (finish, finished) = watch::channel(false);
    let binding = Binding { address: bind, move_privileged_by: move_privileged_ports, port_map };
    let listeners = Listeners::new(binding, Arc::clone(&shared));
    let gateway = Gateway {
        commands,
        shared: Arc::clone(&shared),
        ready: ready.clone(),
        addresses: Addresses::default(),
        drain_delay,
        drain_timeout,
        finished,
        following: Arc::default(),
        log,
    };
    let access = Access { token: admin_token };
    let serve = async |what, address, role| admin::serve(what, address, role, &gateway, &ready_seen, &access).await;
    let addresses = Addresses {
        admin: serve("admin", admin, admin::Role::Admin).await?,
        metrics: serve("metrics", metrics_address, admin::Role::Metrics).await?,
        ready: serve("readiness", ready_address, admin::Role::Ready).await?,
    };
    if let Some(path) = &admin_socket {
        admin::serve_socket(path, &gateway, &ready_seen);
    }
    let own = [addresses.admin, addresses.metrics, addresses.ready];
    let guard = Guard::new(allow_endpoints, own.into_iter().flatten());
    let (stop_writer, writer_stopped) = std::sync::mpsc::channel();
    let table = Arc::clone(&shared);
    let writer = Writer {
        lines,
        path: Box::new(move || table.table.load().settings().access_log.as_ref().map(|log| log.path.clone())),
        metrics: Arc::clone(&metrics),
        failed: None,
    };
    let writing = std::thread::Builder::new()
        .name("access-log".to_owned())
        .spawn(move || writer.run(&writer_stopped))
        .map_err(StartError::Thread)?;
    let (found, found_files) = mpsc::channel(FILES_WAITING);
    let rules = Rules {
        directories: certificate_directories,
        most_bytes: shared.limits.certificate_file_bytes,
        most_files: shared.limits.certificate_files,
    };
    let files = Files::start(rules, found).map_err(StartError::Thread)?;
    let control =
        Control { files, found_files, compiler: Compiler::new(metrics, guard), shared, listeners, workers, ready };
    tokio::spawn(async move {
        control.run(received).await;
        // The last lines are written before anybody is told that all is over.
        drop(stop_writer);
        if !matches!(tokio::task::spawn_blocking(move || writing.join()).await, Ok(Ok(()))) {
            warn!("the access log's writer did not end in order");
        }
        // Nobody may be waiting for it.
        let _ = finish.send(true);
    });
    Ok(Gateway { addresses, ..gateway })
}

impl Gateway {
    /// Puts a change in force: all of it at once, for the next request.
    pub async fn apply(&self, delta: Delta) -> Applied {
        let (done, applied) = oneshot::channel();
        if self.commands.send(Command::Apply(delta, Some(Instant::now()), done)).is_err() {
            return Applied::default();
        }
        applied.await.unwrap_or_default()
    }

    /// The gateway's own ports.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Where listeners are bound.
    pub async fn listeners(&self) -> BTreeMap<ir::ListenerName, SocketAddr> {
        let (done, answer) = oneshot::channel();
        // A gateway that has ended listens nowhere.
        let _ = self.commands.send(Command::Addresses(done));
        answer.await.unwrap_or_default()
    }

    /// Keys and versions of the resources in force.
    pub async fn versions(&self) -> Vec<(ir::Key, Arc<str>)> {
        let (done, answer) = oneshot::channel();
        let _ = self.commands.send(Command::Versions(done));
        answer.await.unwrap_or_default()
    }

    /// The certificates that clients are shown.
    pub(crate) async fn certificates(&self) -> Vec<Served> {
        let (done, answer) = oneshot::channel();
        let _ = self.commands.send(Command::Certificates(done));
        answer.await.unwrap_or_default()
    }

    /// Said when no more tables are taken.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.shared.closing
    }

    /// Bounds of the process.
    pub(crate) fn limits(&self) -> &GatewayLimits {
        &self.shared.limits
    }

    /// How much is logged, if that is this gateway's to say.
    pub(crate) fn log(&self) -> Option<&LogLevel> {
        self.log.as_ref()
    }

    /// How far following a controller has got.
    pub(crate) fn following(&self) -> &State {
        &self.following
    }

    /// Who this proxy is in the mesh, as long as it follows a controller that says so.
    #[must_use]
    pub fn identity(&self) -> watch::Receiver<Option<Arc<Identity>>> {
        self.following.identity.subscribe()
    }

    /// The table in force.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        self.shared.table.load_full()
    }

    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    /// Open client connections and requests on them.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.shared.tasks.len()
    }

    /// Ends politely: readiness goes, then nothing new is accepted, what runs finishes, and what has not finished in
    /// time is cut off. Returns whether nothing had to be cut.
    pub async fn drain(&self) -> bool {
        // Nobody watching is as good as everybody knowing.
        let _ = self.ready.send(false);
        let clean = drain::run(&self.shared, self.drain_delay, self.drain_timeout).await;
        let mut finished = self.finished.clone();
        // The control task ends once the drain is over; its disappearance is an end, too.
        let _ = tokio::time::timeout(Duration::from_secs(2), finished.wait_for(|over| *over)).await;
        clean
    }
}

/// The one task that compiles tables and binds sockets.
struct Control {
    compiler: Compiler,
    files: Files,
    found_files: mpsc::Receiver<Found>,
    shared: Arc<Shared>,
    listeners: Listeners,
    workers: Vec<Handle>,
    ready: watch::Sender<bool>,
}

impl Control {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let limits = &self.shared.limits;
        let bounds = resolve::Bounds {
            names: limits.dns_names,
            queries: limits.dns_queries,
            addresses_per_name: limits.dns_addresses_per_name,
        };
        let (resolved, mut resolutions) = mpsc::channel(RESOLUTIONS_WAITING);
        let mut resolver = Resolver::new(resolved, bounds);
        let mut retry = tokio::time::interval(RETRY_INTERVAL);
        retry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let over = self.shared.closing.clone();
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Apply(delta, since, done)) => {
                        let applied = self.apply(&delta, since, &mut resolver).await;
                        // Whoever asked may have gone away meanwhile.
                        let _ = done.send(applied);
                    }
                    Some(Command::Addresses(done)) => {
                        let _ = done.send(self.listeners.addresses());
                    }
                    Some(Command::Versions(done)) => {
                        let versions = self.compiler.versions();
                        let _ = done.send(versions.map(|(key, version)| (key.clone(), Arc::clone(version))).collect());
                    }
                    Some(Command::Certificates(done)) => {
                        let _ = done.send(self.compiler.certificates());
                    }
                    None => break,
                },
                Some(resolved) = resolutions.recv() => {
                    if let Some(table) = self.compiler.resolved(resolved) {
                        self.publish(table);
                    }
                }
                Some(found) = self.found_files.recv() => {
                    if let Some(table) = self.compiler.found(found) {
                        info!("certificate files changed");
                        self.publish(table);
                    }
                }
                // A port that was taken may be free by now.
                _ = retry.tick(), if !self.listeners.all_bound() => {
                    let table = self.shared.table.load_full();
                    self.listeners.reconcile(&table, &self.workers);
                    self.judge_readiness();
                }
                () = over.cancelled() => break,
            }
        }
        self.shared.tasks.close();
        let workers = std::mem::take(&mut self.workers);
        // Joining blocks until connections are gone; the threads of this runtime have other things to do.
        let joined = tokio::task::spawn_blocking(move || workers.into_iter().for_each(Handle::join)).await;
        if joined.is_err() {
            warn!("a traffic thread did not end in order");
        }
    }

    async fn apply(&mut self, delta: &Delta, since: Option<Instant>, resolver: &mut Resolver) -> Applied {
        let since = since.unwrap_or_else(Instant::now);
        self.read_files(delta).await;
        let mut compiled = self.compiler.apply(delta);
        self.files.follow(self.compiler.files());
        let beyond = resolver.follow(&self.compiler.names());
        self.shared.metrics.unresolved_names.set(i64::try_from(beyond.len()).unwrap_or(i64::MAX));
        compiled.flawed.extend(self.compiler.unresolved(&beyond, self.shared.limits.dns_names, delta));
        for (key, reason) in &compiled.flawed {
            warn!(resource = %key, reason, "a part of a resource cannot be used");
        }
        for (key, reason) in &compiled.rejected {
            warn!(resource = %key, reason, "resource refused; its version before stays in force");
            self.shared.metrics.rejected_resources.with_label_values(&[&key.kind.to_string()]).inc();
        }
        let routes = compiled.table.route_count();
        let listeners = self.publish(compiled.table);
        self.judge_readiness();
        let took = since.elapsed();
        self.shared.metrics.apply_seconds.observe(took.as_secs_f64());
        Applied { rejected: compiled.rejected, flawed: compiled.flawed, listeners, took, routes }
    }

    /// Waits a little for certificate files that are named for the first time, so that they come in force with the
    /// change that names them.
    async fn read_files(&mut self, delta: &Delta) {
        let mut new = self.compiler.new_files(delta);
        if new.is_empty() {
            return;
        }
        self.files.follow(self.compiler.files().union(&new).cloned().collect());
        let deadline = tokio::time::Instant::now() + FILES_PATIENCE;
        while !new.is_empty() {
            let Ok(Some(found)) = tokio::time::timeout_at(deadline, self.found_files.recv()).await else { return };
            new.remove(&found.source);
            if let Some(table) = self.compiler.found(found) {
                self.publish(table);
            }
        }
    }

    /// Ready once the first table is in force and its listeners are bound, as far as they can be; nothing but a drain
    /// takes that back.
    fn judge_readiness(&self) {
        self.ready.send_if_modified(|ready| {
            let first = !*ready && self.listeners.any_bound();
            *ready |= first;
            first
        });
    }

    fn publish(&mut self, table: Arc<Table>) -> Vec<ListenerEvent> {
        self.shared.metrics.table_updates.inc();
        self.shared.metrics.table_generation.set(i64::try_from(table.generation()).unwrap_or(i64::MAX));
        self.shared.table.store(Arc::clone(&table));
        self.listeners.reconcile(&table, &self.workers)
    }
}
