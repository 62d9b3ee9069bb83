//! Two tiny servers that say which version of the shop they are. They listen on the loopback address only.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::ports;

/// The response field that names the version.
pub(crate) const VERSION: &str = "x-version";

#[derive(Debug, thiserror::Error)]
#[error("start the demo's backend {version} on {wanted} or one of the ports behind it")]
pub(crate) struct BackendError {
    version: &'static str,
    wanted: SocketAddr,
    #[source]
    source: io::Error,
}

/// A server that runs until it is dropped.
pub(crate) struct Backend {
    pub(crate) wanted: SocketAddr,
    /// Where it really listens: `wanted`, or a port behind it where that one is taken.
    pub(crate) address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Backend {
    pub(crate) async fn start(version: &'static str, wanted: SocketAddr) -> Result<Self, BackendError> {
        let failed = |source| BackendError { version, wanted, source };
        let listener = ports::bind_or_next(wanted).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, version));
        Ok(Self { wanted, address, _serving: serving })
    }
}

async fn serve(listener: TcpListener, version: &'static str) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely; others may give some back.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        connections.spawn(async move {
            let answer = service_fn(move |request| std::future::ready(Ok::<_, Infallible>(answer(version, &request))));
            // A client that goes away is its own affair.
            let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

fn answer(version: &'static str, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let text = format!("{version} of the shop answers {} {}\n", request.method(), request.uri().path());
    let mut response = Response::new(Full::new(Bytes::from(text)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(VERSION, http::HeaderValue::from_static(version));
    response
}
