//! Peers that say anything: a client towards the gateway, an origin behind it, in either version of HTTP. The gateway is
//! a real one with real sockets. What reaches the other side must be whole messages, however wrong what came was.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::frames::{PREFACE, Pairs, Script};
use super::heads;
use crate::backend::service_entry;
use crate::edge::{GATEWAY, file, host_rule};
use crate::{Edge, Raw};

/// For one connection; a peer that holds it open longer is cut.
const PATIENCE: Duration = Duration::from_millis(100);

const REQUESTS: &[Pairs<'static>] = &[
    &[(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"h1.test"), (b":path", b"/a?b")],
    &[
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":authority", b"h1.test"),
        (b":path", b"/"),
        (b"te", b"trailers"),
    ],
    &[(b":method", b"HEAD"), (b":scheme", b"https"), (b":authority", b"h1.test:80"), (b":path", b"/%2e%2e/x")],
    &[
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":authority", b"h1.test"),
        (b":path", b"/"),
        (b"content-length", b"5"),
    ],
    &[],
];
const RESPONSES: &[Pairs<'static>] = &[
    &[(b":status", b"200")],
    &[(b":status", b"304"), (b"content-length", b"66")],
    &[(b":status", b"204")],
    &[(b":status", b"103"), (b"link", b"</x>")],
    &[(b":status", b"200"), (b"content-length", b"5")],
    &[(b":status", b"200"), (b"content-type", b"application/grpc")],
    &[(b"grpc-status", b"0")],
    &[],
];

/// What an origin does with a connection.
#[derive(Default)]
struct Part {
    /// Said once something was heard.
    script: Vec<u8>,
    heard: Vec<u8>,
}

struct Stage {
    runtime: Runtime,
    edge: Edge,
    parts: Arc<Mutex<HashMap<&'static str, Part>>>,
    _origins: [Raw; 2],
}

static STAGE: LazyLock<Stage> = LazyLock::new(Stage::new);

impl Stage {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a thread");
        let parts: Arc<Mutex<HashMap<&'static str, Part>>> = Arc::default();
        let (edge, origins) = runtime.block_on(async {
            let (h1, h2) = (origin("h1", &parts).await, origin("h2", &parts).await);
            let h2_entry = service_entry("h2", &[(h2.address.port(), "")]).replace("name: http", "name: http2");
            let rules = file(&[
                host_rule("h1", "{retries: {attempts: 0}, timeout: 80ms, route: [{destination: {host: h1}}]}"),
                host_rule("h2", "{retries: {attempts: 0}, timeout: 80ms, route: [{destination: {host: h2}}]}"),
            ]);
            let config = gateway::Config { threads: 1, ..gateway::Config::default() };
            let documents = [GATEWAY.to_owned(), rules, h1.service_entry("h1"), h2_entry];
            (Edge::start_with(&documents, config).await, [h1, h2])
        });
        Self { runtime, edge, parts, _origins: origins }
    }

    fn play(&self, name: &'static str, script: Vec<u8>) {
        let part = Part { script, heard: Vec::new() };
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(name, part);
    }

    fn heard(&self, name: &'static str) -> Vec<u8> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.remove(name).map(|part| part.heard).unwrap_or_default()
    }

    /// What the gateway says to a client that says this and then waits for the end.
    fn talk(&self, bytes: &[u8], then_end: bool) -> Vec<u8> {
        self.runtime.block_on(async {
            let address = self.edge.port(8080).await;
            let said = tokio::time::timeout(PATIENCE, conversation(address, bytes, then_end)).await;
            let panics = "sluice_request_panics_total 0\n";
            // Asked for seldom: the page is large and the counter keeps what it saw.
            if fastrand::u8(..) < 4 {
                assert!(self.edge.metrics().await.contains(panics), "a request panicked");
            }
            said.unwrap_or_default()
        })
    }
}

async fn conversation(address: SocketAddr, bytes: &[u8], then_end: bool) -> Vec<u8> {
    let Ok(mut stream) = TcpStream::connect(address).await else { panic!("the gateway accepts nothing") };
    let mut heard = Vec::new();
    // A gateway that has heard enough closes; that is seen when it is read from.
    let _ = stream.write_all(bytes).await;
    if then_end {
        let _ = stream.shutdown().await;
    }
    let _ = stream.read_to_end(&mut heard).await;
    heard
}

/// An origin that plays its part on every connection.
async fn origin(name: &'static str, parts: &Arc<Mutex<HashMap<&'static str, Part>>>) -> Raw {
    let parts = Arc::clone(parts);
    Raw::start(move |_, mut peer| {
        let parts = Arc::clone(&parts);
        async move {
            let mut buffer = vec![0; 16 * 1024];
            let mut said = false;
            while let Ok(Ok(count @ 1..)) = tokio::time::timeout(PATIENCE, peer.stream.read(&mut buffer)).await {
                let script = {
                    let mut parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
                    let Some(part) = parts.get_mut(name) else { return };
                    part.heard.extend_from_slice(&buffer[..count]);
                    std::mem::take(&mut part.script)
                };
                if !said && !script.is_empty() {
                    said = true;
                    let _ = peer.stream.write_all(&script).await;
                    let _ = peer.stream.shutdown().await;
                }
            }
        }
    })
    .await
}

/// A client that says anything. Its origin hears whole requests, for hosts that are routed to it.
///
/// # Panics
/// When what the origin hears is not a sequence of requests.
pub fn hostile_client(data: &[u8]) {
    let mut script = Script(data);
    let bytes = match script.byte() % 2 {
        0 => script.0.to_vec(),
        _ => [PREFACE, &script.frames(REQUESTS)].concat(),
    };
    STAGE.play("h1", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".to_vec());
    STAGE.talk(&bytes, true);
    let heard = STAGE.heard("h1");
    for request in heads::messages(&heard, |_| false) {
        let parts: Vec<&str> = request.first_line.split(' ').collect();
        assert!(matches!(&*parts, [_, target, "HTTP/1.1"] if !target.contains('#')), "{:?}", request.first_line);
        let hosts: Vec<&str> = request
            .fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
            .map(|(_, host)| host.as_str())
            .collect();
        assert!(matches!(&*hosts, [host] if host.to_ascii_lowercase().starts_with("h1.test")), "{hosts:?}");
    }
}

/// An origin that says anything to one request. The client hears one answer to it and nothing else.
///
/// # Panics
/// When the client hears more than one final response, or what is no response.
pub fn hostile_origin(data: &[u8]) {
    let mut script = Script(data);
    let first = script.byte();
    let method = if first & 2 == 0 { "GET" } else { "HEAD" };
    let (name, said) = match first % 2 {
        0 => ("h1", script.0.to_vec()),
        _ => ("h2", script.frames(RESPONSES)),
    };
    STAGE.play(name, said);
    let request = format!("{method} / HTTP/1.1\r\nHost: {name}.test\r\nConnection: close\r\n\r\n");
    let heard = STAGE.talk(request.as_bytes(), false);
    STAGE.heard(name);
    let interim = |line: &str| line.starts_with("HTTP/1.1 1");
    let bodyless = |line: &str| {
        method == "HEAD" || interim(line) || line.starts_with("HTTP/1.1 204") || line.starts_with("HTTP/1.1 304")
    };
    let answers = heads::messages(&heard, bodyless);
    let last = answers.iter().filter(|answer| !interim(&answer.first_line)).count();
    assert!(last <= 1, "{last} answers to one request: {answers:?}");
}
