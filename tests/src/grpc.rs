//! An HTTP/2 server as gRPC services are: one connection for many calls, trailers, resets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use serde_json::json;
use tokio::net::TcpListener;

use crate::backend::service_entry;

/// Runs until dropped.
pub struct GrpcBackend {
    pub address: SocketAddr,
    calls: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    cancelled: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for GrpcBackend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl GrpcBackend {
    /// # Panics
    /// When loopback has no free port.
    pub async fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = socket.local_addr().expect("a bound socket has an address");
        let counter = || Arc::new(AtomicUsize::new(0));
        let (calls, connections, cancelled) = (counter(), counter(), counter());
        let state = (Arc::clone(&calls), Arc::clone(&connections), Arc::clone(&cancelled));
        let task = tokio::spawn(async move {
            let (calls, connections, cancelled) = state;
            while let Ok((stream, _)) = socket.accept().await {
                let _ = stream.set_nodelay(true);
                connections.fetch_add(1, Ordering::SeqCst);
                let (calls, cancelled) = (Arc::clone(&calls), Arc::clone(&cancelled));
                tokio::spawn(async move {
                    let Ok(mut server) = h2::server::handshake(stream).await else { return };
                    while let Some(Ok((request, respond))) = server.accept().await {
                        calls.fetch_add(1, Ordering::SeqCst);
                        if request.uri().path() == "/goaway" {
                            server.graceful_shutdown();
                        }
                        tokio::spawn(answer(request, respond, Arc::clone(&cancelled)));
                    }
                });
            }
        });
        Self { address, calls, connections, cancelled, task }
    }

    /// Calls seen.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Connections accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Calls that were taken back.
    #[must_use]
    pub fn cancelled(&self) -> usize {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// A ServiceEntry for `<name>.shop.svc.cluster.local`, port 80 of protocol GRPC, that leads here.
    #[must_use]
    pub fn service_entry(&self, name: &str) -> String {
        service_entry(name, &[(self.address.port(), "")]).replace("protocol: HTTP}", "protocol: GRPC}")
    }
}

/// Says what it saw, with trailers; `/refuse` and `/reset` do that to the first attempt, `/wait` never answers, `/sleep`
/// takes a while.
async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, cancelled: Arc<AtomicUsize>) {
    let (parts, mut body) = request.into_parts();
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let first = header("x-envoy-attempt-count") == "1";
    match parts.uri.path() {
        "/refuse" if first => return respond.send_reset(Reason::REFUSED_STREAM),
        "/reset" => return respond.send_reset(Reason::INTERNAL_ERROR),
        "/wait" => {
            let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            cancelled.fetch_add(1, Ordering::SeqCst);
            return;
        }
        "/sleep" => tokio::time::sleep(Duration::from_millis(100)).await,
        _ => {}
    }
    if parts.uri.path() == "/echo" {
        let Ok(mut send) = respond.send_response(Response::new(()), false) else { return };
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
            let _ = send.send_data(data, false);
        }
        let _ = send.send_trailers(trailers("0"));
        return;
    }
    let mut length = 0;
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        length += data.len();
    }
    let sent = body.trailers().await.ok().flatten();
    let seen = json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path_and_query().map(ToString::to_string),
        "authority": parts.uri.authority().map(ToString::to_string),
        "scheme": parts.uri.scheme_str(),
        "te": header("te"),
        "attempt": header("x-envoy-attempt-count"),
        "body": length,
        "trailer": sent.and_then(|map| Some(map.get("x-end")?.to_str().ok()?.to_owned())),
    });
    let Ok(mut send) = respond.send_response(Response::new(()), false) else { return };
    let _ = send.send_data(Bytes::from(seen.to_string()), false);
    let _ = send.send_trailers(trailers("7"));
}

fn trailers(status: &'static str) -> HeaderMap {
    let mut map = HeaderMap::new();
    map.insert("grpc-status", HeaderValue::from_static(status));
    map
}
