//! The controller of a cluster: builds all parts, connects them, and ends them in order. Decides nothing itself.

mod options;
mod trust;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use crds::MeshConfig;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

pub use options::{Addresses, ClusterOptions};

use crate::admin::{self, BindError, Debug};
use crate::ca::{Authority, CertificateService, SigningPolicy, store};
use crate::discovery::DiscoveryServer;
use crate::fleet::{Fleet, FleetMetrics, Home};
use crate::identity::{
    Authenticator, CertificateVerifier, KubeReviewer, Options as AuthenticatorOptions, SpiffeId, TrustDomains,
};
use crate::leader::{self, Leadership};
use crate::logging::LogLevel;
use crate::replicas::{self, Find, Merged, ReplicaService};
use crate::serving::{Alpn, ClientCertificates, Listener, Serving, tls};
use crate::source::kube::{KubeOptions, KubeSource};
use crate::status::{self, EventOptions, Events, KubeStatusApi, StatusMetrics, StatusOptions, StatusWriter};
use crate::telemetry::Metrics;
use crate::webhook::{Registration, RegistrationOptions, Webhook, WebhookLimits, WebhookMetrics};

/// How long ending may take, beyond the drain delay.
const END: Duration = Duration::from_secs(5);

/// Why a controller does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("ConfigMap {namespace}/istio cannot be read")]
    MeshConfig {
        namespace: String,
        #[source]
        source: kube::Error,
    },
    #[error("there is no certificate authority")]
    Authority(#[from] store::StoreError),
    #[error("the controller's own certificate cannot be issued")]
    Serving(#[from] crate::serving::ServingError),
    #[error(transparent)]
    Tls(#[from] crate::serving::TlsError),
    #[error("cannot listen on {address} for discovery")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot listen on {address} for the webhook")]
    ListenWebhook {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    #[error(transparent)]
    Metrics(#[from] crate::telemetry::MetricsError),
    #[error("a metric is there twice")]
    Metric(#[from] prometheus::Error),
}

/// A controller that runs.
pub struct Running {
    addresses: Addresses,
    fleet: Fleet,
    leadership: Leadership,
    metrics: Metrics,
    authority: Arc<Authority>,
    ready: watch::Sender<bool>,
    drain_delay: Duration,
    serving: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Starts a controller. Proxies are served once the cluster's state has been read, which [`Running::ready`] tells.
///
/// # Errors
/// When the cluster cannot be reached, there is no usable certificate authority, or a port is taken.
pub async fn start(client: Client, options: ClusterOptions, log_level: LogLevel) -> Result<Running, StartError> {
    let ClusterOptions {
        namespace,
        replica,
        service_account,
        replicas,
        cluster,
        trust_domain,
        names,
        webhook,
        addresses,
        mut discovery,
        limits,
        certificates_per_minute,
        drain_delay,
        status_writes_per_second,
    } = options;
    let (stop, serving_stop, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
    let metrics = Metrics::new()?;
    let fleet_metrics = FleetMetrics::new(metrics.registry())?;
    let authority_metrics = crate::ca::Metrics::register(metrics.registry())?;
    let status_metrics = StatusMetrics::register(metrics.registry())?;
    let webhook_metrics = WebhookMetrics::register(metrics.registry())?;

    let mesh = read_mesh(&client, &namespace).await?;
    let domains = Arc::new(ArcSwap::from_pointee(trust::domains(&mesh, trust_domain.as_deref())));
    let authority = authority(&client, &namespace, &domains).await?;
    let home = Home { control_namespace: namespace.clone(), cluster };
    let elsewhere = home.clone();
    let (source, batches) = KubeSource::start(client.clone(), KubeOptions::new(&namespace, metrics.watch.clone()));
    let fleet = Fleet::start(home, batches, fleet_metrics.clone()).map_err(StartError::Thread)?;
    tasks.spawn(follow_secrets(source, fleet.clone(), stop.clone()));
    tasks.spawn(trust::follow(fleet.mesh(), trust_domain, Arc::clone(&domains), stop.clone()));

    // The API server and proxies are on the network: whatever else fails, they get a certificate of our own authority.
    let server_name = names.first().cloned().unwrap_or_default();
    let serving = Serving::new(Arc::clone(&authority), names, SystemTime::now())?;
    tasks.spawn(Arc::clone(&serving).keep_current(stop.clone()));
    let verifier = CertificateVerifier::new(authority.trusted(), Arc::clone(&domains));
    let reviewer = Arc::new(KubeReviewer::new(client.clone()));
    let authenticator = Arc::new(Authenticator::new(reviewer, verifier.clone(), AuthenticatorOptions::default()));
    let config = tls(&serving, ClientCertificates::Optional(verifier), Alpn::Http2)?;
    let listen = |source| StartError::Listen { address: addresses.discovery, source };
    let incoming = Listener::bind(addresses.discovery, config, limits.clone())
        .and_then(|bound| bound.incoming(serving_stop.clone()));
    let incoming = incoming.map_err(listen)?;
    let bound = incoming.local_addr();
    info!(address = %bound, what = "discovery and certificates", "listening");
    discovery.controller.clone_from(&replica);
    let certificates = CertificateService::new(
        Arc::clone(&authority),
        Arc::clone(&authenticator),
        certificates_per_minute,
        authority_metrics.clone(),
    );
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .add_service(certificates.into_server())
        .add_service(ReplicaService::new(fleet.clone(), Arc::clone(&authenticator), &namespace, &service_account))
        .add_service(DiscoveryServer::new(
            fleet.clone(),
            authenticator,
            fleet_metrics,
            discovery,
            serving_stop.clone(),
        ));
    let ended = serving_stop.clone();
    tasks.spawn(async move {
        if let Err(error) = server.serve_with_incoming_shutdown(incoming, ended.cancelled_owned()).await {
            error!(%error, "serving discovery ended");
        }
    });

    let leader =
        leader::Options { namespace: namespace.clone(), identity: replica.clone(), ..leader::Options::default() };
    let (leadership, electing) = leader::start(client.clone(), leader, stop.clone());
    tasks.spawn(async move {
        if electing.await.is_err() {
            error!("the election of a leader ended");
        }
    });
    let publish = store::PublishOptions::default();
    tasks.spawn(store::publish_roots(
        client.clone(),
        Arc::clone(&authority),
        publish,
        leadership.watch(),
        stop.clone(),
    ));
    let store = store::SecretStore::new(client.clone(), store_options(&namespace, &domains));
    tasks.spawn(store::follow(
        store,
        Arc::clone(&authority),
        store::Rotation::default(),
        authority_metrics,
        stop.clone(),
    ));

    // Status is written last: it must have something to say.
    let events = EventOptions { instance: replica.clone(), ..EventOptions::default() };
    let events = Events::start(client.clone(), events, leadership.clone(), status_metrics.clone(), stop.clone());
    let addresses_seen =
        status::follow_ingress_addresses(client.clone(), fleet.clone(), namespace.clone(), stop.clone());
    let merged = Merged::new(fleet.clone(), &namespace);
    let trust_domain = domains.load().own().to_owned();
    match SpiffeId::new(&trust_domain, &namespace, &service_account) {
        Ok(identity) => {
            let access = replicas::Access {
                authority: Arc::clone(&authority),
                identity,
                server_name,
                own: replica.clone(),
                find: replicas.unwrap_or(Find::Pods { port: bound.port() }),
            };
            let others = Arc::clone(&merged);
            tasks.spawn(replicas::follow(fleet.clone(), elsewhere, access, leadership.watch(), others, stop.clone()));
        }
        Err(error) => warn!(%error, "other replicas cannot be asked: status tells of the proxies of this one only"),
    }
    let writer = StatusWriter::new(
        merged,
        KubeStatusApi::new(client.clone()),
        leadership.clone(),
        events,
        addresses_seen,
        StatusOptions { writes_per_second: status_writes_per_second, ..StatusOptions::default() },
        status_metrics,
    );
    tasks.spawn(writer.run(stop.clone()));

    let judge = Webhook::new(WebhookLimits::default(), webhook_metrics.clone());
    let config = tls(&serving, ClientCertificates::Ignored, Alpn::Http2AndHttp1)?;
    let listen = |source| StartError::ListenWebhook { address: addresses.webhook, source };
    let incoming = Listener::bind(addresses.webhook, config, limits)
        .and_then(|bound| bound.incoming(serving_stop.clone()))
        .map_err(listen)?;
    let webhook_bound = incoming.local_addr();
    info!(address = %webhook_bound, what = "webhook", "listening");
    tasks.spawn(Arc::clone(&judge).serve(incoming, serving_stop.clone()));
    if let Some(name) = webhook {
        let roots = Arc::clone(&authority);
        let registration = Registration::new(
            client.clone(),
            RegistrationOptions::new(&name),
            webhook_metrics,
            move || roots.roots_pem(),
            authority.changes(),
            judge.proven(),
        );
        tasks.spawn(registration.run(stop.clone()));
    }

    let (ready, ready_seen) = watch::channel(false);
    tasks.spawn(become_ready(fleet.synced(), ready.clone(), stop.clone()));
    let debug = Debug { fleet: fleet.clone(), log_level, controller: replica };
    let addresses = Addresses {
        discovery: bound,
        webhook: webhook_bound,
        metrics: admin::serve("metrics", addresses.metrics, admin::metrics(metrics.clone()), stop.clone()).await?,
        health: admin::serve("health", addresses.health, admin::health(ready_seen), stop.clone()).await?,
        debug: admin::serve("debugging", addresses.debug, admin::debug(debug), stop.clone()).await?,
    };
    Ok(Running {
        addresses,
        fleet,
        leadership,
        metrics,
        authority,
        ready,
        drain_delay,
        serving: serving_stop,
        stop,
        tasks,
    })
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    #[must_use]
    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Roots that its certificates chain to, PEM.
    #[must_use]
    pub fn roots_pem(&self) -> String {
        self.authority.roots_pem()
    }

    /// Becomes true once the cluster's state has been read.
    #[must_use]
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Resolves when it cannot go on: what it holds grows old, and a new process would not have the trouble.
    pub async fn failed(&self) {
        let mut blind = self.fleet.blind();
        if blind.wait_for(|blind| *blind).await.is_err() {
            error!("the thread that knows everything has ended");
        }
    }

    /// Ends in order: not ready, then streams end so that proxies go to another replica, then the rest; the lease is
    /// given back.
    pub async fn end(self) {
        self.ready.send_replace(false);
        tokio::time::sleep(self.drain_delay).await;
        self.serving.cancel();
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(END, self.tasks.wait()).await.is_err() {
            warn!("not everything ended in time");
        }
    }

    /// Ends at once, as a killed process does, as far as one process can tell.
    pub fn abort(self) {
        self.serving.cancel();
        self.stop.cancel();
    }
}

async fn read_mesh(client: &Client, namespace: &str) -> Result<MeshConfig, StartError> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let failed = |source| StartError::MeshConfig { namespace: namespace.to_owned(), source };
    let map = maps.get_opt("istio").await.map_err(failed)?;
    let text = map.and_then(|map| map.data).and_then(|mut data| data.remove("mesh")).unwrap_or_default();
    // What is wrong with it is reported when it is translated.
    Ok(crds::yaml::read_mesh_config(&text).map(|read| read.config).unwrap_or_default())
}

fn store_options(namespace: &str, domains: &ArcSwap<TrustDomains>) -> store::StoreOptions {
    store::StoreOptions::new(namespace, domains.load().own())
}

async fn authority(
    client: &Client,
    namespace: &str,
    domains: &ArcSwap<TrustDomains>,
) -> Result<Arc<Authority>, StartError> {
    let store = store::SecretStore::new(client.clone(), store_options(namespace, domains));
    let bundle = store.load(SystemTime::now()).await?;
    Ok(Arc::new(Authority::new(bundle, SigningPolicy::default())))
}

/// Watches the secrets that proxies need, and no others.
async fn follow_secrets(source: KubeSource, fleet: Fleet, stop: CancellationToken) {
    let mut wanted = fleet.wanted_secrets();
    loop {
        let names = wanted.borrow_and_update().clone();
        source.want_secrets(names);
        tokio::select! {
            () = stop.cancelled() => return,
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

async fn become_ready(mut synced: watch::Receiver<bool>, ready: watch::Sender<bool>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        done = synced.wait_for(|synced| *synced) => {
            if done.is_ok() {
                ready.send_replace(true);
            }
        }
    }
}
