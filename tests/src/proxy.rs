//! A proxy that has no traffic: it speaks discovery with a real controller, keeps what it is told, and answers as a test
//! wants. A thousand of them fit into one process.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use controller::serving;
use futures::StreamExt as _;
use ir::{Encoded, Key};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::sync::mpsc;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use wire::convert;
use wire::discovery as message;
use wire::discovery::discovery_client::DiscoveryClient;
use wire::hello::Kept;

/// Longer than any answer of a controller takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// How to reach a controller, and as whom.
#[derive(Clone)]
pub struct Access {
    pub address: SocketAddr,
    /// The name its certificate must have.
    pub server_name: String,
    /// Roots it must chain to, PEM.
    pub roots: String,
    /// Shown as `authorization: Bearer …`.
    pub token: Option<String>,
    /// Certificate chain and key, PEM.
    pub certificate: Option<(String, String)>,
}

impl Access {
    /// A connection.
    ///
    /// # Errors
    /// When it cannot be made.
    ///
    /// # Panics
    /// When certificates of the test are not readable.
    pub async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        let mut roots = rustls::RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(self.roots.as_bytes()) {
            roots.add(root.expect("a certificate")).expect("a root");
        }
        let config = rustls::ClientConfig::builder().with_root_certificates(roots);
        let config = match &self.certificate {
            Some((chain, key)) => {
                let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(|one| one.expect("a certificate"));
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
                config.with_client_auth_cert(chain.collect(), key).expect("a pair")
            }
            None => config.with_no_client_auth(),
        };
        let name = ServerName::try_from(self.server_name.clone()).expect("a name");
        serving::connect(Endpoint::from_static("http://controller"), self.address, name, config).await
    }

    /// A request with this identity's token.
    ///
    /// # Panics
    /// When the token cannot be in a header.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            let value = MetadataValue::try_from(format!("Bearer {token}")).expect("a token is ASCII");
            request.metadata_mut().insert("authorization", value);
        }
        request
    }
}

/// Everything a proxy says of itself at the start of a stream.
#[derive(Clone, Debug, Default)]
pub struct Hello {
    pub node: message::Node,
    /// Everything, unless said otherwise.
    pub subscribe: Option<Vec<message::Subscription>>,
    /// Never says the last of what it has.
    pub unfinished: bool,
}

/// What a proxy has, by name and version.
pub type Versions = Vec<(Key, Arc<str>)>;

/// Of these resources.
#[must_use]
pub fn versions(resources: &BTreeMap<Key, Encoded>) -> Versions {
    resources.values().map(|one| (one.key.clone(), Arc::clone(&one.version))).collect()
}

/// Resources that a thousand proxies of one process have in common, once each.
#[derive(Debug, Default)]
pub struct Shared(Mutex<HashMap<(Key, Arc<str>), Encoded>>);

impl Shared {
    fn one(&self, resource: Encoded) -> Encoded {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (resource.key.clone(), Arc::clone(&resource.version));
        all.entry(name).or_insert(resource).clone()
    }
}

/// A stream and what came over it.
pub struct Proxy {
    /// Where this proxy's resources are kept, if it is one of many.
    pub shared: Option<Arc<Shared>>,
    requests: mpsc::Sender<message::Request>,
    responses: Streaming<message::Response>,
    /// What it has from an earlier stream, until the controller asks.
    kept: Kept,
    /// How many versions it was asked for.
    pub asked: usize,
    /// What it was told and has answered for.
    pub resources: BTreeMap<Key, Encoded>,
}

/// One push, joined from its parts.
#[derive(Debug)]
pub struct Push {
    pub nonce: String,
    pub changed: Vec<Encoded>,
    pub removed: Vec<Key>,
    pub controller: String,
    /// When its last byte had come.
    pub at: Instant,
}

impl Proxy {
    /// Begins a stream, with what an earlier one has left.
    ///
    /// # Errors
    /// What the controller has against it at once; the rest comes with the first push.
    pub async fn begin(access: &Access, hello: Hello, resources: BTreeMap<Key, Encoded>) -> Result<Self, Status> {
        let begun = Self::begin_knowing(access, hello, versions(&resources)).await?;
        Ok(Self { resources, ..begun })
    }

    /// As [`Proxy::begin`], saying that it has resources of these versions. They are not kept.
    ///
    /// # Errors
    /// What the controller has against it at once.
    pub async fn begin_knowing(access: &Access, hello: Hello, versions: Versions) -> Result<Self, Status> {
        let channel = access.connect().await.map_err(|error| Status::unavailable(format!("{error:?}")))?;
        let mut client = DiscoveryClient::new(channel).max_decoding_message_size(64 << 20);
        let (requests, mut waiting) = mpsc::channel(16);
        let everything = || convert::KINDS.into_iter().map(convert::wildcard).collect();
        let subscribe = hello.subscribe.unwrap_or_else(everything);
        let (mut first, kept) = wire::hello::hello(hello.node, subscribe, versions);
        first.more |= hello.unfinished;
        let later = futures::stream::poll_fn(move |context| waiting.poll_recv(context));
        let stream = futures::stream::iter([first]).chain(later);
        let responses = client.stream(access.request(stream)).await?.into_inner();
        Ok(Self { shared: None, requests, responses, kept, asked: 0, resources: BTreeMap::new() })
    }

    /// The next push.
    ///
    /// # Errors
    /// Why the stream ended.
    pub async fn next(&mut self) -> Result<Push, Status> {
        let mut push = Push {
            nonce: String::new(),
            changed: Vec::new(),
            removed: Vec::new(),
            controller: String::new(),
            at: Instant::now(),
        };
        loop {
            let part = self.responses.message().await?.ok_or_else(|| Status::aborted("the stream ended"))?;
            if !part.ask.is_empty() {
                for request in std::mem::take(&mut self.kept).told(&part.ask) {
                    self.asked += request.initial_resource_versions.len();
                    self.send(request).await;
                }
                continue;
            }
            self.kept = Kept::default();
            let unreadable = |error: convert::ConvertError| Status::data_loss(error.to_string());
            push.nonce = part.nonce;
            push.controller = part.controller;
            for resource in part.changed {
                let resource = resource.try_into().map_err(unreadable)?;
                push.changed.push(match &self.shared {
                    Some(shared) => shared.one(resource),
                    None => resource,
                });
            }
            for key in part.removed {
                push.removed.push(key.try_into().map_err(unreadable)?);
            }
            if !part.more {
                push.at = Instant::now();
                return Ok(push);
            }
        }
    }

    /// The next push, which must come soon.
    ///
    /// # Panics
    /// When it does not.
    pub async fn push(&mut self) -> Push {
        let next = tokio::time::timeout(PATIENCE, self.next()).await.expect("a push in time");
        next.unwrap_or_else(|status| panic!("the stream ended: {status}"))
    }

    /// Keeps what a push brought, and says so.
    pub async fn ack(&mut self, push: Push) {
        self.answer(push, Vec::new()).await;
    }

    /// Keeps what a push brought but these, and says so.
    pub async fn answer(&mut self, push: Push, rejected: Vec<(Key, String)>) {
        let mut answer = message::Request { nonce: push.nonce, ..message::Request::default() };
        for key in push.removed {
            self.resources.remove(&key);
        }
        for resource in push.changed {
            if let Some((key, reason)) = rejected.iter().find(|(key, _)| *key == resource.key) {
                answer.rejected.push(convert::rejected(key, &resource.version, reason));
            } else {
                self.resources.insert(resource.key.clone(), resource);
            }
        }
        self.send(answer).await;
    }

    /// Says something else.
    pub async fn send(&self, request: message::Request) {
        // The stream's end is noticed by whoever reads it.
        let _ = self.requests.send(request).await;
    }

    /// Takes pushes until what is kept is what a test waits for.
    ///
    /// # Panics
    /// When it does not become so.
    pub async fn until(&mut self, what: &str, reached: impl Fn(&BTreeMap<Key, Encoded>) -> bool) {
        while !reached(&self.resources) {
            let next = tokio::time::timeout(PATIENCE, self.next()).await;
            let next = next.unwrap_or_else(|_| panic!("{what}: not reached with {:?}", self.resources));
            let push = next.unwrap_or_else(|status| panic!("{what}: the stream ended: {status}"));
            self.ack(push).await;
        }
    }

    /// Takes and answers pushes for as long as the stream lives. Returns what is left, and why it ended.
    pub async fn follow(mut self) -> (BTreeMap<Key, Encoded>, Status) {
        loop {
            match self.next().await {
                Ok(push) => self.ack(push).await,
                Err(status) => return (self.resources, status),
            }
        }
    }
}
