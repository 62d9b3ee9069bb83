//! An HTTP/1.1 server that answers with what it saw, or does what the request's `x-do` says.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

/// Runs until dropped.
pub struct Backend {
    pub name: String,
    pub address: SocketAddr,
    hits: Arc<AtomicUsize>,
    completed: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Backend {
    /// # Panics
    /// When loopback has no free port.
    pub async fn start(name: &str) -> Self {
        Self::start_on(name, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// # Panics
    /// When the address is taken.
    pub async fn start_on(name: &str, address: SocketAddr) -> Self {
        let socket = TcpListener::bind(address).await.expect("a free address");
        let address = socket.local_addr().expect("a bound socket has an address");
        let (hits, completed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let connections = Arc::new(AtomicUsize::new(0));
        let state = (name.to_owned(), Arc::clone(&hits), Arc::clone(&completed), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            let (name, hits, completed, connections) = state;
            while let Ok((stream, _)) = socket.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let _ = stream.set_nodelay(true);
                let (name, hits, completed) = (name.clone(), Arc::clone(&hits), Arc::clone(&completed));
                let service = service_fn(move |request| {
                    hits.fetch_add(1, Ordering::Relaxed);
                    let (name, completed) = (name.clone(), Arc::clone(&completed));
                    async move { Ok::<_, Infallible>(answer(&name, request, &completed).await) }
                });
                tokio::spawn(async move {
                    let served = hyper::server::conn::http1::Builder::new();
                    // Clients end connections as they like.
                    let _ = served.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { name: name.to_owned(), address, hits, completed, connections, task }
    }

    /// Requests seen.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::Relaxed)
    }

    /// Requests whose body was seen to its end.
    #[must_use]
    pub fn completed(&self) -> usize {
        self.completed.load(Ordering::Relaxed)
    }

    /// Connections accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// A ServiceEntry for `<name>.shop.svc.cluster.local`, port 80, that leads here.
    #[must_use]
    pub fn service_entry(&self) -> String {
        service_entry(&self.name, &[(self.address.port(), "")])
    }
}

/// A STATIC ServiceEntry for `<name>.shop.svc.cluster.local` with endpoints (port, version label).
#[must_use]
pub fn service_entry(name: &str, endpoints: &[(u16, &str)]) -> String {
    let mut text = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  \
         hosts: [{name}.shop.svc.cluster.local]\n  location: MESH_EXTERNAL\n  resolution: STATIC\n  ports: [{{number: 80, \
         name: http, protocol: HTTP}}]\n  endpoints:\n"
    );
    for (port, version) in endpoints {
        text.push_str(&format!("  - {{address: 127.0.0.1, ports: {{http: {port}}}"));
        if !version.is_empty() {
            text.push_str(&format!(", labels: {{version: {version}}}"));
        }
        text.push_str("}\n");
    }
    text
}

type Body = BoxBody<Bytes, Infallible>;

fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).boxed()
}

/// `x-do`: `status 503`, `sleep 100` (ms), `stream 3` (chunks, 20 ms apart), `big 1000000`, `header name=value`,
/// `early` (answers before the body is read).
async fn answer(name: &str, request: Request<Incoming>, completed: &AtomicUsize) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let orders = parts.headers.get("x-do").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let order =
        |word: &str| orders.split(';').find_map(|it| it.trim().strip_prefix(word)).map(|rest| rest.trim().to_owned());
    if let Some(millis) = order("sleep").and_then(|text| text.parse().ok()) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    let mut response = if order("early").is_some() {
        Response::new(full("early\n"))
    } else if orders.contains("echo-stream") {
        // Each piece goes back as it comes.
        let stream = futures::stream::unfold(body, |mut body| async move {
            let frame = body.frame().await?.ok()?;
            let data = frame.into_data().unwrap_or_default();
            Some((Ok::<_, Infallible>(Frame::data(data)), body))
        });
        Response::new(StreamBody::new(stream).boxed())
    } else if let Some(size) = order("big").and_then(|text| text.parse().ok()) {
        Response::new(full(vec![b'x'; size]))
    } else if let Some(count) = order("stream").and_then(|text| text.parse::<usize>().ok()) {
        let stream = futures::stream::unfold(0, move |index| async move {
            if index == count {
                return None;
            }
            if index > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from(format!("piece {index}\n")))), index + 1))
        });
        Response::new(StreamBody::new(stream).boxed())
    } else {
        let body = match body.collect().await {
            Ok(body) => {
                completed.fetch_add(1, Ordering::Relaxed);
                body.to_bytes()
            }
            Err(_) => Bytes::new(),
        };
        let headers: Vec<_> = parts
            .headers
            .iter()
            .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
            .collect();
        let seen = json!({
            "backend": name,
            "method": parts.method.as_str(),
            "path": parts.uri.to_string(),
            "headers": headers,
            "body": if body.len() < 10_000 { json!(String::from_utf8_lossy(&body)) } else { json!(body.len()) },
        });
        Response::new(full(seen.to_string()))
    };
    if let Some(status) = order("status").and_then(|text| text.parse::<u16>().ok()) {
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT);
    }
    if let Some((header, value)) = order("header").as_deref().and_then(|text| text.split_once('='))
        && let (Ok(header), Ok(value)) = (http::HeaderName::from_bytes(header.as_bytes()), HeaderValue::from_str(value))
    {
        response.headers_mut().append(header, value);
    }
    if let Ok(name) = HeaderValue::from_str(name) {
        response.headers_mut().insert("x-backend", name);
    }
    response
}
