//! The gRPC service: takes a stream, finds out whose it is, and hands it over. What a proxy is told follows from who it
//! has proven to be; what it says of itself must agree with that (security.md CP-1).

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, info};
use wire::discovery as message;
use wire::discovery::discovery_server::{Discovery, DiscoveryServer as Service};

use super::budget::Budget;
use super::connection::{Bounds, Connection, unreadable};
use super::life::Life;
use super::size;
use crate::bucket::Sparse;
use crate::fleet::{Fleet, FleetMetrics, JoinError, ProxyInfo};
use crate::identity::{Authenticator, Peer, SpiffeId};
use crate::limits::ControllerLimits;
use crate::serving::{Handle, PeerInfo, party};
use crate::shares::{Places, Share, Shares};

/// How many parts of a push wait for a slow proxy.
const PARTS_WAITING: usize = 2;

/// Bounds of the service.
#[derive(Clone, Debug)]
pub struct DiscoveryOptions {
    /// Name of this replica, told to proxies and shown to people.
    pub controller: String,
    /// From the start of a stream to its first message (CP-4), and again for the parts in which a proxy says what it has.
    pub first_message: Duration,
    /// Proxies at a time that say what they have. The others wait: each of them takes memory for everything it has.
    pub hellos: usize,
    /// From the end of a push to its answer.
    pub answer: Duration,
    /// Largest message taken (CP-4), bytes.
    pub max_message_bytes: usize,
    /// Proxies served at a time.
    pub max_streams: usize,
    /// Bounds of what proxies say.
    pub limits: ControllerLimits,
}

impl Default for DiscoveryOptions {
    fn default() -> Self {
        Self {
            controller: String::new(),
            first_message: Duration::from_secs(10),
            hellos: 16,
            answer: Duration::from_secs(60),
            max_message_bytes: 4 << 20,
            max_streams: 10_000,
            limits: ControllerLimits::default(),
        }
    }
}

/// Refused streams that have a line in the log each, in a minute.
const LINES: u32 = 60;

/// Who shares an allowance: an identity is shared by all pods of a Deployment, which come back together.
type Workload = (SpiffeId, Result<String, IpAddr>);

/// Serves discovery.
pub struct DiscoveryServer {
    fleet: Fleet,
    authenticator: Arc<Authenticator>,
    metrics: FleetMetrics,
    options: DiscoveryOptions,
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    budget: Arc<Budget>,
    starting: Arc<Shares<Workload>>,
    lines: Arc<Sparse>,
    streams: TaskTracker,
    stop: CancellationToken,
}

impl DiscoveryServer {
    /// Streams end when `stop` says so: proxies go to another replica, and a server that ends does not wait for them.
    #[must_use]
    pub fn new(
        fleet: Fleet,
        authenticator: Arc<Authenticator>,
        metrics: FleetMetrics,
        options: DiscoveryOptions,
        stop: CancellationToken,
    ) -> Service<Self> {
        let places = Arc::new(Semaphore::new(options.max_streams));
        let max_message_bytes = options.max_message_bytes;
        let turns = Arc::new(Semaphore::new(options.hellos.max(1)));
        let budget = Budget::new(&options.limits);
        let streams = TaskTracker::new();
        let starting =
            Shares::new(Places { all: options.max_streams, each: options.limits.starting_streams, reserve: 0 });
        let lines = Arc::new(Sparse::per_minute(LINES));
        let server =
            Self { fleet, authenticator, metrics, options, places, turns, budget, starting, lines, streams, stop };
        Service::new(server).max_decoding_message_size(max_message_bytes)
    }
}

type Responses = Pin<Box<dyn Stream<Item = Result<message::Response, Status>> + Send>>;

#[tonic::async_trait]
impl Discovery for DiscoveryServer {
    type StreamStream = Responses;

    async fn stream(
        &self,
        request: Request<Streaming<message::Request>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let handle = request.extensions().get::<Handle>();
        let handle = handle.ok_or_else(|| Status::internal("the connection is not known"))?;
        let info = handle.info().clone();
        let peer = self.authenticator.authenticate(&info, request.metadata()).await.map_err(Status::from)?;
        handle.proven();
        // Before it is known which proxy it is, a stream takes of what its workload may have.
        let pod = peer.pod.as_ref().map(|pod| pod.uid.clone()).ok_or(party(info.remote.ip()));
        let starting = self.starting.take((peer.identity.clone(), pod), false);
        let starting = starting.map_err(|_| {
            Status::resource_exhausted("too many streams that are not served yet (limit starting-streams)")
        })?;
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place =
            place.map_err(|_| Status::resource_exhausted("too many proxies are connected; try another replica"))?;
        let (responses, mut received) = mpsc::channel(PARTS_WAITING);
        let starting: BoxFuture<'static, ()> =
            Box::pin(self.start(peer, info, starting, request.into_inner(), responses.clone()));
        let (stop, late) = (self.stop.clone(), responses.clone());
        self.streams.spawn(async move {
            tokio::select! {
                () = starting => {}
                () = stop.cancelled() => {
                    // The proxy may be slow, and finds out anyway.
                    let _ = late.try_send(Err(Status::unavailable("the controller is ending")));
                }
            }
            drop(place);
        });
        Ok(Response::new(Box::pin(futures::stream::poll_fn(move |context| received.poll_recv(context)))))
    }
}

impl DiscoveryServer {
    /// The life of a stream. The answer's head goes out before the first message is there, as clients expect.
    fn start(
        &self,
        peer: Peer,
        info: PeerInfo,
        starting: Share<Workload>,
        mut requests: Streaming<message::Request>,
        responses: mpsc::Sender<Result<message::Response, Status>>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let fleet = self.fleet.clone();
        let metrics = self.metrics.clone();
        let DiscoveryOptions { controller, first_message, answer, limits, .. } = self.options.clone();
        let account = self.budget.open(peer.identity.clone());
        let (workloads, lines) = (fleet.workloads(), Arc::clone(&self.lines));
        let bounds = Bounds { answer, hello: first_message, turns: Arc::clone(&self.turns), limits };
        async move {
            let begun = async {
                let first = tokio::time::timeout(first_message, requests.message()).await;
                let first =
                    first.map_err(|_| Status::deadline_exceeded("the first message did not come in time"))??;
                let mut first = first.ok_or_else(|| Status::cancelled("the stream ended before it began"))?;
                size::check(&first, &bounds.limits).map_err(unreadable)?;
                let node = first.node.take().unwrap_or_default();
                let proxy = proxy(&peer, node, &info)?;
                let member = fleet.join(proxy).await.map_err(refused)?;
                Ok((first, member))
            };
            let begun = begun.await;
            drop(starting);
            match begun {
                Ok((first, member)) => {
                    let life = Life::of(workloads, peer.identity, &member.info.pod);
                    let connection =
                        Connection { fleet, member, life, metrics, controller, bounds, requests, responses };
                    connection.run(first, account).await;
                }
                Err(status) => {
                    let status: Status = status;
                    metrics.refused_proxies.with_label_values(&[&format!("{:?}", status.code())]).inc();
                    if lines.allows() {
                        info!(peer = %peer.identity, address = %info.remote, code = ?status.code(), reason = status.message(), "discovery refused");
                    }
                    if responses.send(Err(status)).await.is_err() {
                        debug!("the peer went away before it was told");
                    }
                }
            }
        }
    }
}

/// Who the proxy is: what is proven, and of what it says only what agrees with that.
fn proxy(peer: &Peer, node: message::Node, info: &PeerInfo) -> Result<ProxyInfo, Status> {
    let message::Node { pod, namespace, service_account, cluster: _, version, instance } = node;
    let proven = &peer.identity;
    let differs = |what: &str, said: &str, is: &str| {
        Status::permission_denied(format!("the proxy says its {what} is {said:?}, but it has proven to be of {is:?}"))
    };
    if !namespace.is_empty() && namespace != proven.namespace() {
        return Err(differs("namespace", &namespace, proven.namespace()));
    }
    if !service_account.is_empty() && service_account != proven.service_account() {
        return Err(differs("service account", &service_account, proven.service_account()));
    }
    let bound = peer.pod.as_ref().map(|bound| bound.name.as_str());
    if let Some(bound) = bound.filter(|bound| !pod.is_empty() && pod != *bound) {
        return Err(differs("pod", &pod, bound));
    }
    let pod = bound.map_or(pod, str::to_owned);
    if pod.is_empty() {
        return Err(Status::invalid_argument("the proxy does not say which pod it runs in"));
    }
    Ok(ProxyInfo {
        namespace: proven.namespace().to_owned(),
        pod,
        service_account: proven.service_account().to_owned(),
        version: short(version),
        instance: short(instance),
        address: info.remote.to_string(),
    })
}

/// Text of a stranger, for logs and people.
fn short(text: String) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn refused(error: JoinError) -> Status {
    match error {
        JoinError::UnknownPod { .. } | JoinError::NotSynced => Status::unavailable(error.to_string()),
        JoinError::TooManyWorkloads { .. } | JoinError::TooManyNew { .. } => {
            Status::resource_exhausted(error.to_string())
        }
        JoinError::OtherServiceAccount { .. } => Status::permission_denied(error.to_string()),
    }
}
