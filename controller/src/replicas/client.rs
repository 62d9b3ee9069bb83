//! The leader's way to the other replicas: a connection to each, over which it is told what changed there, and asks how
//! far proxies are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crds::ObjectKey;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tracing::{debug, info};
use translate::ProxyScope;
use wire::replica as message;
use wire::replica::replica_client::ReplicaClient;

use super::convert;
use super::find::Find;
use crate::ca::Authority;
use crate::fleet::{Dirty, Fleet, Home};
use crate::identity::SpiffeId;
use crate::serving;

/// How often replicas are looked for.
const LOOK: Duration = Duration::from_secs(2);
/// Until a replica that does not answer is tried again.
const PAUSE: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(5);
/// A replica that does not answer in time is left out of an answer: status must not wait for the dead.
const ANSWER: Duration = Duration::from_secs(2);
/// Of the certificate that a connection is made with.
const CERTIFICATE_LIFE: Duration = Duration::from_secs(3600);

/// Who this replica is, to the others.
#[derive(Clone)]
pub struct Access {
    pub authority: Arc<Authority>,
    pub identity: SpiffeId,
    /// A name that is in every replica's certificate.
    pub server_name: String,
    /// Name of this one's pod.
    pub own: String,
    pub find: Find,
}

/// Why there is no connection to a replica.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("no certificate of our own")]
    Certificate(#[source] crate::ca::SignError),
    #[error("no key of our own")]
    Key(#[source] rcgen::Error),
    #[error("certificates cannot be used")]
    Tls(#[source] rustls::Error),
    #[error("certificates cannot be read")]
    Pem(#[source] rustls_pki_types::pem::Error),
    #[error("{name:?} is no name")]
    Name { name: String },
    #[error("no connection")]
    Connect(#[source] tonic::transport::Error),
}

/// Replicas that answer, and what they told.
#[derive(Debug, Default)]
pub(super) struct Others {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    connected: HashMap<SocketAddr, Channel>,
    dirty: Dirty,
    scopes: BTreeMap<SocketAddr, Vec<ProxyScope>>,
}

impl Others {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_dirty(&self) -> Dirty {
        std::mem::take(&mut self.lock().dirty)
    }

    /// What they say about objects.
    pub(super) async fn progress(&self, keys: &[ObjectKey]) -> Vec<message::Progress> {
        let channels: Vec<Channel> = self.lock().connected.values().cloned().collect();
        let ask = |channel: Channel| async move {
            let mut client = ReplicaClient::new(channel).max_decoding_message_size(64 << 20);
            let request = message::ProgressRequest { keys: keys.iter().map(convert::key).collect() };
            match tokio::time::timeout(ANSWER, client.progress(request)).await {
                Ok(Ok(answer)) => answer.into_inner().objects,
                Ok(Err(status)) => {
                    debug!(reason = status.message(), "a replica does not say how far its proxies are");
                    Vec::new()
                }
                Err(_) => Vec::new(),
            }
        };
        futures::future::join_all(channels.into_iter().map(ask)).await.into_iter().flatten().collect()
    }

    fn all_scopes(&self) -> Vec<ProxyScope> {
        self.lock().scopes.values().flatten().cloned().collect()
    }

    fn forget(&self, address: SocketAddr) {
        let mut inner = self.lock();
        inner.connected.remove(&address);
        inner.scopes.remove(&address);
    }
}

/// Keeps connections to all other replicas while this one is the leader, until told to stop. `told` moves whenever one of
/// them has something to say.
pub async fn follow(
    fleet: Fleet,
    home: Home,
    access: Access,
    mut leader: watch::Receiver<bool>,
    others: Arc<super::Merged>,
    stop: CancellationToken,
) {
    let mut running: HashMap<SocketAddr, CancellationToken> = HashMap::new();
    loop {
        let wanted = if *leader.borrow_and_update() {
            let Ok(world) = fleet.world().await else { return };
            access.find.others(&world, &home.control_namespace, access.identity.service_account(), &access.own)
        } else {
            BTreeSet::new()
        };
        running.retain(|address, ends| {
            let stays = wanted.contains(address);
            if !stays {
                ends.cancel();
            }
            stays
        });
        for address in wanted {
            running.entry(address).or_insert_with(|| {
                let ends = stop.child_token();
                let one = One {
                    fleet: fleet.clone(),
                    home: home.clone(),
                    access: access.clone(),
                    address,
                    merged: Arc::clone(&others),
                };
                let ended = ends.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = one.follow() => {}
                        () = ended.cancelled() => {}
                    }
                    one.leave().await;
                });
                ends
            });
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = leader.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// One replica.
struct One {
    fleet: Fleet,
    home: Home,
    access: Access,
    address: SocketAddr,
    merged: Arc<super::Merged>,
}

impl One {
    async fn follow(&self) {
        loop {
            match self.connect().await {
                Ok(channel) => {
                    info!(replica = %self.address, "follows another replica's proxies");
                    self.merged.others.lock().connected.insert(self.address, channel.clone());
                    let status = self.listen(channel).await;
                    info!(replica = %self.address, reason = status.message(), "another replica is gone");
                    self.leave().await;
                }
                Err(error) => debug!(replica = %self.address, error = ?error, "another replica cannot be reached"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Its proxies count no more: they are on their way to somebody else.
    async fn leave(&self) {
        self.merged.others.forget(self.address);
        self.tell_scopes().await;
        // Whether they counted or not, numbers are others now.
        let _ = self.fleet.mark_all_dirty().await;
    }

    async fn tell_scopes(&self) {
        // The controller ends if nobody takes it.
        let _ = self.fleet.shadow(self.merged.others.all_scopes()).await;
    }

    async fn listen(&self, channel: Channel) -> tonic::Status {
        let mut client = ReplicaClient::new(channel).max_decoding_message_size(64 << 20);
        let mut all = true;
        loop {
            let answer = match client.changes(message::ChangesRequest { all }).await {
                Ok(answer) => answer.into_inner(),
                Err(status) => return status,
            };
            all = false;
            let message::ChangesResponse { urgent, lazy, scopes } = answer;
            let scopes: Vec<ProxyScope> =
                scopes.into_iter().map(|scope| convert::read_scope(scope, &self.home)).collect();
            let (differ, any) = {
                let mut inner = self.merged.others.lock();
                inner.dirty.urgent.extend(urgent.into_iter().filter_map(convert::read_key));
                inner.dirty.lazy.extend(lazy.into_iter().filter_map(convert::read_key));
                let any = inner.dirty != Dirty::default();
                let differ = inner.scopes.get(&self.address) != Some(&scopes);
                inner.scopes.insert(self.address, scopes);
                (differ, any)
            };
            if differ {
                self.tell_scopes().await;
            }
            if any {
                self.merged.ring();
            }
        }
    }

    async fn connect(&self) -> Result<Channel, ConnectError> {
        let config = self.config()?;
        let name = ServerName::try_from(self.access.server_name.clone())
            .map_err(|_| ConnectError::Name { name: self.access.server_name.clone() })?;
        let endpoint = Endpoint::from_static("http://replica")
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5));
        serving::connect(endpoint, self.address, name, config).await.map_err(ConnectError::Connect)
    }

    /// A certificate of our own authority for each connection.
    fn config(&self) -> Result<ClientConfig, ConnectError> {
        let Access { authority, identity, .. } = &self.access;
        let key = KeyPair::generate().map_err(ConnectError::Key)?;
        let request = CertificateParams::default().serialize_request(&key).and_then(|csr| csr.pem());
        let signed = authority
            .sign(&request.map_err(ConnectError::Key)?, identity, Some(CERTIFICATE_LIFE), SystemTime::now())
            .map_err(ConnectError::Certificate)?;
        let pem = |text: &str| CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
        let mut chain = Vec::new();
        for text in &signed.chain {
            chain.extend(pem(text).map_err(ConnectError::Pem)?);
        }
        let mut roots = RootCertStore::empty();
        for root in pem(&authority.roots_pem()).map_err(ConnectError::Pem)? {
            roots.add(root).map_err(ConnectError::Tls)?;
        }
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(ConnectError::Tls)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(ConnectError::Tls)
    }
}
