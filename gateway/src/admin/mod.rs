//! The gateway's own ports: admin on loopback, metrics, readiness. Served on the config threads, never on those that
//! carry traffic.

mod control;
mod dump;
mod gate;
mod serve;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tracing::warn;

use crate::app::{Gateway, StartError};
use gate::{Gate, Via};
use serve::{Connections, bind_socket, may_change};

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// After a failure to accept.
const PAUSE: Duration = Duration::from_millis(100);
/// Dumps made at a time, per port.
const DUMPS: usize = 2;

/// What a port answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Admin,
    Metrics,
    Ready,
}

/// Serves a port until the process ends; returns where it is bound.
pub(crate) async fn serve(
    what: &'static str,
    address: Option<SocketAddr>,
    role: Role,
    gateway: &Gateway,
    ready: &watch::Receiver<bool>,
    access: &Access,
) -> Result<Option<SocketAddr>, StartError> {
    let Some(address) = address else { return Ok(None) };
    let bind = |source| StartError::Bind { what, address, source };
    let socket = listen(address).await.map_err(bind)?;
    let local = socket.local_addr().map_err(bind)?;
    let asked = Asked::new(role, Via::Port(local), gateway, ready, access);
    let mut connections = Connections::new(gateway.limits().admin_connections);
    tokio::spawn(async move {
        loop {
            match socket.accept().await {
                Ok((stream, _)) => connections.serve(stream, asked.answer()),
                Err(error) => {
                    warn!(what, error = %error, "connections cannot be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    });
    Ok(Some(local))
}

/// Serves the admin interface on a unix socket, too. Without it nothing can be changed from outside, which is no reason
/// not to serve.
pub(crate) fn serve_socket(path: &Path, gateway: &Gateway, ready: &watch::Receiver<bool>) {
    let socket = match bind_socket(path) {
        Ok(socket) => socket,
        Err(error) => {
            warn!(path = %path.display(), error = %error, "the admin socket cannot be bound");
            return;
        }
    };
    let asked = Asked::new(Role::Admin, Via::Socket, gateway, ready, &Access::default());
    let mut connections = Connections::new(gateway.limits().admin_connections);
    tokio::spawn(async move {
        loop {
            match socket.accept().await {
                Ok((stream, _)) => {
                    let peer = stream.peer_cred();
                    if peer.is_ok_and(|peer| may_change(peer.uid(), peer.pid())) {
                        connections.serve(stream, asked.answer());
                    } else {
                        warn!("a connection to the admin socket was refused");
                    }
                }
                Err(error) => {
                    warn!(error = %error, "connections to the admin socket cannot be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    });
}

/// By what changes may be asked for over TCP.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// A file.
    pub(crate) token: Option<PathBuf>,
}

/// What answers the questions of a port.
struct Asked {
    role: Role,
    via: Via,
    gate: Gate,
    gateway: Gateway,
    ready: watch::Receiver<bool>,
    /// Answers that take memory are made and sent a few at a time.
    dumps: Arc<Semaphore>,
}

impl Asked {
    fn new(role: Role, via: Via, gateway: &Gateway, ready: &watch::Receiver<bool>, access: &Access) -> Arc<Self> {
        Arc::new(Self {
            role,
            via,
            gate: Gate { token: access.token.clone() },
            gateway: gateway.clone(),
            ready: ready.clone(),
            dumps: Arc::new(Semaphore::new(DUMPS)),
        })
    }

    fn answer(self: &Arc<Self>) -> impl Fn(Request<Incoming>) -> BoxFuture<'static, Response<Full<Bytes>>> + use<> {
        let asked = Arc::clone(self);
        move |request| {
            let asked = Arc::clone(&asked);
            Box::pin(async move {
                let ready = *asked.ready.borrow();
                if asked.role == Role::Admin {
                    let get = matches!(*request.method(), Method::GET | Method::HEAD);
                    if let Err(denied) = asked.gate.judge(asked.via, request.headers(), !get) {
                        return text(StatusCode::FORBIDDEN, &format!("{denied}\n"));
                    }
                }
                let _turn = match request.uri().path() {
                    "/config_dump" | "/certs" | "/clusters" | "/stats/prometheus" | "/metrics" => {
                        asked.dumps.acquire().await.ok()
                    }
                    _ => None,
                };
                answer(asked.role, &request, &asked.gateway, ready).await
            })
        }
    }
}

/// Every address means IPv4 on a machine without IPv6.
async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error)
            if address.ip() == Ipv6Addr::UNSPECIFIED
                && !matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::AddrInUse) =>
        {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        other => other,
    }
}

async fn answer(role: Role, request: &Request<Incoming>, gateway: &Gateway, ready: bool) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let get = request.method() == Method::GET || request.method() == Method::HEAD;
    match (role, path) {
        (_, "/healthz/ready" | "/ready") if get => {
            if ready {
                text(StatusCode::OK, "ok\n")
            } else {
                text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
            }
        }
        // Alive is whoever can say so; it never depends on the configuration (D9).
        (_, "/healthz/live") if get => text(StatusCode::OK, "ok\n"),
        (Role::Metrics | Role::Admin, "/stats/prometheus" | "/metrics") if get => match gateway.metrics().text() {
            Ok(body) => typed(StatusCode::OK, METRICS_TYPE, body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        },
        (Role::Admin, "/config_dump") if get => {
            typed(StatusCode::OK, "application/json", dump::config(gateway).await.to_string())
        }
        (Role::Admin, "/discovery") if get => {
            typed(StatusCode::OK, "application/json", control::discovery(gateway).to_string())
        }
        (Role::Admin, "/certs") if get => {
            typed(StatusCode::OK, "application/json", control::certificates(gateway).await.to_string())
        }
        (Role::Admin, "/logging") => logging(request, gateway),
        (Role::Admin, "/clusters") if get => text(StatusCode::OK, &dump::clusters(&gateway.table())),
        (Role::Admin, "/listeners") if get => text(StatusCode::OK, &dump::listeners(gateway).await),
        (Role::Admin, "/") if get => text(StatusCode::OK, HELP),
        (Role::Admin, "/drain_listeners") if request.method() == Method::POST => {
            let gateway = gateway.clone();
            tokio::spawn(async move { gateway.drain().await });
            text(StatusCode::OK, "draining\n")
        }
        _ => text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

const HELP: &str = "\
GET  /config_dump       what this proxy was told, without private keys
GET  /discovery         the controller, the stream from it, what of its pushes was refused
GET  /certs             certificates of this proxy and of its servers, without private keys
GET  /clusters          destinations, their endpoints and requests under way
GET  /listeners         bound sockets
GET  /logging           the log filter; POST /logging?level=FILTER changes it, as in `info` or `info,gateway=debug`
GET  /stats/prometheus  metrics
GET  /healthz/ready     200 once the first configuration is in force and its listeners are bound
POST /drain_listeners   stop accepting, finish what runs

What is not GET needs the admin socket (--admin-socket, as by `sluice-gateway admin --post PATH`) or, on the port, the
token of --admin-token-file.
";

fn logging(request: &Request<Incoming>, gateway: &Gateway) -> Response<Full<Bytes>> {
    let Some(log) = gateway.log() else {
        return text(StatusCode::NOT_FOUND, "this process's log is not the gateway's\n");
    };
    let level = request.uri().query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("level=")));
    match (request.method(), level) {
        (&Method::GET | &Method::HEAD, None) => text(StatusCode::OK, &format!("{}\n", log.current())),
        (&Method::POST | &Method::PUT, Some(level)) => match log.set(&decoded(level)) {
            Ok(()) => text(StatusCode::OK, &format!("{}\n", log.current())),
            Err(error) => text(StatusCode::BAD_REQUEST, &format!("{error}\n")),
        },
        _ => text(StatusCode::BAD_REQUEST, "GET /logging, or POST /logging?level=FILTER\n"),
    }
}

/// What stands in filters and is escaped in queries.
fn decoded(text: &str) -> String {
    [("%2C", ","), ("%2c", ","), ("%3D", "="), ("%3d", "="), ("%3A", ":"), ("%3a", ":"), ("%5B", "["), ("%5D", "]")]
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", body.to_owned())
}

fn typed(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
