//! A controller without a will of its own: hands each stream to the test, signs certificates as it is told.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::identity::channel::Address;
use ir::{Encoded, Key};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tonic::transport::Server;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Request, Response, Status, Streaming};
use wire::ca::istio_certificate_service_server::{IstioCertificateService, IstioCertificateServiceServer};
use wire::ca::{IstioCertificateRequest, IstioCertificateResponse};
use wire::discovery as message;
use wire::discovery::discovery_server::{Discovery, DiscoveryServer};

use crate::mesh::Mesh;

/// Longer than anything a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What it does besides what tests do by hand.
#[derive(Default)]
pub(crate) struct Behaviour {
    /// Streams are not answered.
    pub(crate) silent: AtomicBool,
    /// Streams are refused with this …
    pub(crate) refuse: Mutex<Option<Status>>,
    /// … but only if a certificate was shown.
    pub(crate) refuse_certificates: AtomicBool,
    /// Certificates are refused with this.
    pub(crate) refuse_signing: Mutex<Option<Status>>,
    /// Seconds.
    pub(crate) lifetime: Mutex<Option<Duration>>,
    pub(crate) signed: Mutex<Vec<Shown>>,
    /// Streams that were asked for, answered or not.
    pub(crate) asked: AtomicUsize,
}

/// What somebody showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) bearer: Option<String>,
    pub(crate) certificate: bool,
    pub(crate) cluster: Option<String>,
}

impl Shown {
    fn of<T>(request: &Request<T>) -> Self {
        let text = |name: &str| Some(request.metadata().get(name)?.to_str().unwrap().to_owned());
        let info = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>().unwrap();
        let certificate = info.peer_certs().is_some_and(|certificates| !certificates.is_empty());
        Self { bearer: text("authorization"), certificate, cluster: text("clusterid") }
    }

    pub(crate) fn by_token(token: &str) -> Self {
        Self { bearer: Some(format!("Bearer {token}")), certificate: false, cluster: None }
    }

    pub(crate) fn by_certificate() -> Self {
        Self { bearer: None, certificate: true, cluster: None }
    }
}

/// Runs until dropped; then its connections are cut.
pub(crate) struct Controller {
    pub(crate) socket: SocketAddr,
    pub(crate) behaviour: Arc<Behaviour>,
    streams: mpsc::UnboundedReceiver<Stream>,
    runtime: Option<Runtime>,
}

impl Drop for Controller {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The controller's end of a stream.
pub(crate) struct Stream {
    pub(crate) shown: Shown,
    requests: Streaming<message::Request>,
    responses: mpsc::Sender<Result<message::Response, Status>>,
}

impl Controller {
    pub(crate) fn start(mesh: &Arc<Mesh>) -> Self {
        Self::start_at(mesh, mesh, "127.0.0.1:0".parse().unwrap())
    }

    /// One that accepts certificates of another mesh only.
    pub(crate) fn start_at(mesh: &Arc<Mesh>, clients: &Mesh, socket: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let behaviour = Arc::new(Behaviour::default());
        let (told, streams) = mpsc::unbounded_channel();
        let acceptor = TlsAcceptor::from(Arc::new(mesh.server_config(clients)));
        let (mesh, seen) = (Arc::clone(mesh), Arc::clone(&behaviour));
        let (bound, address) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            // Whoever listened there before may not have let go yet.
            let listener = loop {
                match TcpListener::bind(socket).await {
                    Ok(listener) => break listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            };
            bound.send(listener.local_addr().unwrap()).unwrap();
            let incoming = futures::stream::unfold((listener, acceptor), |(listener, acceptor)| async move {
                loop {
                    let Ok((stream, _)) = listener.accept().await else { continue };
                    if let Ok(stream) = acceptor.accept(stream).await {
                        return Some((Ok::<_, std::io::Error>(stream), (listener, acceptor)));
                    }
                }
            });
            let service = Service { told, behaviour: seen, mesh };
            let served = Server::builder()
                .add_service(DiscoveryServer::new(service.clone()))
                .add_service(IstioCertificateServiceServer::new(service))
                .serve_with_incoming(incoming);
            served.await.unwrap();
        });
        let socket = address.recv_timeout(PATIENCE).expect("the port is free in time");
        Self { socket, behaviour, streams, runtime: Some(runtime) }
    }

    pub(crate) fn address(&self) -> Address {
        format!("localhost:{}", self.socket.port()).parse().unwrap()
    }

    /// The next stream that a proxy opens.
    pub(crate) async fn stream(&mut self) -> Stream {
        tokio::time::timeout(PATIENCE, self.streams.recv()).await.expect("a stream in time").unwrap()
    }

    /// The next stream, with its first request.
    pub(crate) async fn begin(&mut self) -> (Stream, message::Request) {
        let mut stream = self.stream().await;
        let first = stream.request().await;
        (stream, first)
    }
}

impl Stream {
    pub(crate) async fn request(&mut self) -> message::Request {
        let message = tokio::time::timeout(PATIENCE, self.requests.message()).await.expect("a request in time");
        message.unwrap().expect("the stream goes on")
    }

    /// Waits until the proxy has given the stream up.
    pub(crate) async fn ended(&mut self) {
        let end = async { while let Ok(Some(_)) = self.requests.message().await {} };
        tokio::time::timeout(PATIENCE, end).await.expect("the stream ends in time");
    }

    /// False once nobody takes it.
    pub(crate) async fn send(&self, response: message::Response) -> bool {
        self.responses.send(Ok(response)).await.is_ok()
    }

    pub(crate) async fn fail(self, status: Status) {
        let _ = self.responses.send(Err(status)).await;
    }

    /// A push in one part, and its answer.
    pub(crate) async fn push(&mut self, nonce: &str, changed: &[Encoded], removed: &[Key]) -> message::Request {
        assert!(self.send(part(nonce, changed, removed, false)).await);
        let answer = self.request().await;
        assert_eq!(answer.nonce, nonce);
        answer
    }
}

pub(crate) fn part(nonce: &str, changed: &[Encoded], removed: &[Key], more: bool) -> message::Response {
    message::Response {
        nonce: nonce.to_owned(),
        changed: changed.iter().map(Into::into).collect(),
        removed: removed.iter().map(Into::into).collect(),
        more,
        controller: "scripted-1".to_owned(),
        ask: Vec::new(),
    }
}

#[derive(Clone)]
struct Service {
    told: mpsc::UnboundedSender<Stream>,
    behaviour: Arc<Behaviour>,
    mesh: Arc<Mesh>,
}

#[tonic::async_trait]
impl Discovery for Service {
    type StreamStream = Pin<Box<dyn futures::Stream<Item = Result<message::Response, Status>> + Send>>;

    async fn stream(
        &self,
        request: Request<Streaming<message::Request>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        self.behaviour.asked.fetch_add(1, Ordering::SeqCst);
        let shown = Shown::of(&request);
        if let Some(status) = self.behaviour.refuse.lock().unwrap().clone() {
            return Err(status);
        }
        if shown.certificate && self.behaviour.refuse_certificates.load(Ordering::SeqCst) {
            return Err(Status::unauthenticated("that root is unknown"));
        }
        if self.behaviour.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let (responses, mut received) = mpsc::channel(4);
        let _ = self.told.send(Stream { shown, requests: request.into_inner(), responses });
        Ok(Response::new(Box::pin(futures::stream::poll_fn(move |cx| received.poll_recv(cx)))))
    }
}

#[tonic::async_trait]
impl IstioCertificateService for Service {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let shown = Shown::of(&request);
        self.behaviour.signed.lock().unwrap().push(shown);
        if let Some(status) = self.behaviour.refuse_signing.lock().unwrap().clone() {
            return Err(status);
        }
        let IstioCertificateRequest { csr, validity_duration, metadata: _ } = request.into_inner();
        let asked = Duration::from_secs(validity_duration.try_into().unwrap());
        let lifetime = self.behaviour.lifetime.lock().unwrap().unwrap_or(asked);
        Ok(Response::new(IstioCertificateResponse { cert_chain: self.mesh.sign(&csr, lifetime) }))
    }
}
