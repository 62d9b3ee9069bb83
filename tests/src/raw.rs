//! Upstreams that do with their connections what no HTTP server would.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::backend::service_entry;

/// Runs until dropped.
pub struct Raw {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection to a [`Raw`].
pub struct Peer {
    pub stream: TcpStream,
    buffer: Vec<u8>,
    requests: Arc<AtomicUsize>,
}

impl Raw {
    /// Every connection, with its number from 0, is handed to `serve`.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub async fn start<F, S>(serve: S) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
        S: Fn(usize, Peer) -> F + Send + 'static,
    {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = socket.local_addr().expect("a bound socket has an address");
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counters = (Arc::clone(&connections), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            let (connections, requests) = counters;
            while let Ok((stream, _)) = socket.accept().await {
                let _ = stream.set_nodelay(true);
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let peer = Peer { stream, buffer: Vec::new(), requests: Arc::clone(&requests) };
                tokio::spawn(serve(number, peer));
            }
        });
        Self { address, connections, requests, task }
    }

    /// Answers every request with these bytes, then closes.
    pub async fn answering(bytes: &'static str) -> Self {
        Self::start(move |_, mut peer| async move {
            if peer.request().await.is_some() {
                peer.say(bytes).await;
            }
        })
        .await
    }

    /// Connections accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Request heads read.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// A ServiceEntry for `<name>.shop.svc.cluster.local`, port 80, that leads here.
    #[must_use]
    pub fn service_entry(&self, name: &str) -> String {
        service_entry(name, &[(self.address.port(), "")])
    }
}

impl Peer {
    /// The next request's head; `None` when the connection is closed.
    pub async fn request(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffer[..end + 4]).into_owned();
                self.buffer.drain(..end + 4);
                self.requests.fetch_add(1, Ordering::SeqCst);
                return Some(head);
            }
            if self.fill().await == 0 {
                return None;
            }
        }
    }

    /// That many bytes of body, or as many as come.
    pub async fn body(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length && self.fill().await > 0 {}
        self.buffer.drain(..length.min(self.buffer.len())).collect()
    }

    /// Waits until the other side has closed, however much it says before.
    pub async fn closed(&mut self) {
        while self.fill().await > 0 {
            self.buffer.clear();
        }
    }

    async fn fill(&mut self) -> usize {
        let mut bytes = [0; 16 * 1024];
        // A reset is an end like any other.
        let count = self.stream.read(&mut bytes).await.unwrap_or(0);
        self.buffer.extend_from_slice(&bytes[..count]);
        count
    }

    /// Says it, if anybody is there to hear it.
    pub async fn say(&mut self, text: &str) {
        let _ = self.stream.write_all(text.as_bytes()).await;
    }
}

/// A port that refuses connections for as long as this lives.
pub struct Refusing {
    _socket: TcpSocket,
    pub port: u16,
}

impl Default for Refusing {
    fn default() -> Self {
        Self::new()
    }
}

impl Refusing {
    /// # Panics
    /// When loopback has no free port.
    #[must_use]
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        // Bound and not listening: nobody else gets the port, and nobody answers on it.
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("loopback has free ports");
        let port = socket.local_addr().expect("a bound socket has an address").port();
        Self { _socket: socket, port }
    }
}

/// An address that answers no connection attempt: it listens, and its queue is full.
pub struct Unanswering {
    _socket: TcpListener,
    _queued: Vec<TcpStream>,
    pub port: u16,
}

impl Unanswering {
    /// # Panics
    /// When loopback has no free port, or the system queues without end.
    pub async fn start() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("loopback has free ports");
        let socket = socket.listen(0).expect("a bound socket can listen");
        let address = socket.local_addr().expect("a bound socket has an address");
        let mut queued = Vec::new();
        // Attempts that hang show that the queue is full.
        while let Ok(connected) = tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
            queued.push(connected.expect("a listening socket refuses nothing"));
            assert!(queued.len() < 16, "the queue of a socket is bounded");
        }
        Self { _socket: socket, _queued: queued, port: address.port() }
    }

    /// Connection attempts that are under way, by the system's own table.
    ///
    /// # Panics
    /// Where there is no such table.
    #[must_use]
    pub fn attempts(&self) -> usize {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("a table of connections");
        let remote = format!(":{:04X}", self.port);
        let of_remote = |line: &&str| {
            let mut columns = line.split_whitespace().skip(2);
            // Remote address, and the state SYN_SENT.
            columns.next().is_some_and(|address| address.ends_with(&remote)) && columns.next() == Some("02")
        };
        table.lines().filter(of_remote).count()
    }
}
