//! A traffic thread: one reactor, its own accept queues, its own upstream connections. Nothing is shared with other
//! workers but the table and counters.

use std::collections::{HashMap, HashSet};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::descriptors;
use crate::limits::GatewayLimits;
use crate::listener::accept;
use crate::listener::claim::Claim;
use crate::listener::places::Places;
use crate::table::Table;
use crate::telemetry::access_log::Lines;
use crate::telemetry::metrics::{ClusterMetrics, Metrics};
use crate::upstream::Upstreams;

/// The process's environment as formats see it.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    pub(crate) variables: HashMap<String, String>,
    /// Names that objects may show.
    pub(crate) allowed: HashSet<String>,
}

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) table: ArcSwap<Table>,
    pub(crate) limits: GatewayLimits,
    /// Client connections that the process's descriptors are enough for.
    pub(crate) most_connections: usize,
    /// Who has a connection.
    pub(crate) places: Arc<Places>,
    pub(crate) metrics: Arc<Metrics>,
    /// Series of requests without destination.
    pub(crate) unrouted: Arc<ClusterMetrics>,
    pub(crate) hostname: String,
    environment: Environment,
    /// Said when every connection is to end as soon as its requests are answered, after the flag was set.
    pub(crate) closing: CancellationToken,
    pub(crate) is_closing: Arc<AtomicBool>,
    /// Said when every connection is to end at once.
    pub(crate) abort: CancellationToken,
    /// Open connections.
    pub(crate) tasks: TaskTracker,
}

impl Shared {
    pub(crate) fn new(
        limits: GatewayLimits,
        metrics: Arc<Metrics>,
        hostname: String,
        environment: Environment,
    ) -> Self {
        Self {
            limits,
            most_connections: descriptors::connections(),
            places: Arc::default(),
            table: ArcSwap::default(),
            unrouted: Arc::new(ClusterMetrics::new(Arc::clone(&metrics), None)),
            metrics,
            hostname,
            environment,
            closing: CancellationToken::new(),
            is_closing: Arc::default(),
            abort: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// A variable of the process's environment, empty where unset. For the administrator's own formats.
    pub(crate) fn environment(&self, name: &str) -> &str {
        self.environment.variables.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The same for formats in objects: empty unless the administrator allows the name.
    pub(crate) fn allowed_environment(&self, name: &str) -> &str {
        if self.environment.allowed.contains(name) { self.environment(name) } else { "" }
    }
}

/// What a thread's connections can reach.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) upstream: Upstreams,
    pub(crate) lines: Arc<Lines>,
}

/// A bound socket for one worker.
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A listener to serve.
pub(crate) struct Serve {
    pub(crate) name: ir::ListenerName,
    pub(crate) socket: Socket,
    pub(crate) stop: Stop,
    /// Kept until the socket is closed, so that a port that comes back at once is known to be our own.
    pub(crate) claim: Option<Arc<Claim>>,
}

/// The end of a listener's life, in two steps.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    /// Nothing new is accepted; connections end as soon as their requests are answered.
    pub(crate) closing: CancellationToken,
    /// What is left ends at once.
    pub(crate) abort: CancellationToken,
    /// Says the same as `closing`, for who asks with every request: a token takes a lock to answer.
    flags: [Arc<AtomicBool>; 2],
}

impl Stop {
    /// Of a listener that ends with the process, or earlier.
    pub(crate) fn new(shared: &Shared) -> Self {
        Self {
            closing: shared.closing.child_token(),
            abort: shared.abort.child_token(),
            flags: [Arc::clone(&shared.is_closing), Arc::default()],
        }
    }

    /// Of one connection, which may be ended before the others.
    pub(crate) fn of_connection(&self) -> Self {
        Self { abort: self.abort.child_token(), ..self.clone() }
    }

    /// Ends this listener.
    pub(crate) fn close(&self) {
        self.flags[1].store(true, Ordering::Relaxed);
        self.closing.cancel();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.flags.iter().any(|flag| flag.load(Ordering::Relaxed))
    }
}

/// A worker's thread.
#[derive(Debug)]
pub(crate) struct Handle {
    commands: mpsc::UnboundedSender<Serve>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Starts a thread that serves what it is given.
    ///
    /// # Errors
    /// When the thread or its reactor cannot be made.
    pub(crate) fn start(index: usize, shared: Arc<Shared>, lines: Arc<Lines>) -> std::io::Result<Self> {
        let (commands, mut received) = mpsc::unbounded_channel::<Serve>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            runtime.block_on(async move {
                let worker = Arc::new(Worker { upstream: Upstreams::new(&shared.limits), shared, lines });
                while let Some(serve) = received.recv().await {
                    tokio::spawn(accept::run(Arc::clone(&worker), serve));
                }
                // The last command was given; connections end by the tokens they hold.
                worker.shared.tasks.wait().await;
            });
        })?;
        Ok(Self { commands, thread: Some(thread) })
    }

    /// False if the thread is gone.
    pub(crate) fn serve(&self, serve: Serve) -> bool {
        self.commands.send(serve).is_ok()
    }

    /// Waits for the thread's end, after its last connection's.
    pub(crate) fn join(self) {
        let Self { commands, thread } = self;
        drop(commands);
        if let Some(thread) = thread {
            // A panic of a worker was reported when it happened.
            let _ = thread.join();
        }
    }
}
