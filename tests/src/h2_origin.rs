//! An HTTP/2 upstream that does with its streams what the test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;
use tokio::net::TcpListener;

use crate::backend::service_entry;

/// Runs until dropped.
pub struct H2Origin {
    pub address: SocketAddr,
    calls: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for H2Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl H2Origin {
    /// Every stream is handed to `serve`.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub async fn start<F, S>(serve: S) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
        S: Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Clone + Send + 'static,
    {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = socket.local_addr().expect("a bound socket has an address");
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let _ = stream.set_nodelay(true);
                let (serve, calls) = (serve.clone(), Arc::clone(&counter));
                tokio::spawn(async move {
                    let mut builder = h2::server::Builder::new();
                    builder.max_header_list_size(1 << 20);
                    let Ok(mut server) = builder.handshake::<_, Bytes>(stream).await else { return };
                    while let Some(Ok((request, respond))) = server.accept().await {
                        calls.fetch_add(1, Ordering::SeqCst);
                        tokio::spawn(serve(request, respond));
                    }
                });
            }
        });
        Self { address, calls, task }
    }

    /// Requests seen.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// A ServiceEntry for `<name>.shop.svc.cluster.local`, port 80 of protocol HTTP2, that leads here.
    #[must_use]
    pub fn service_entry(&self, name: &str) -> String {
        service_entry(name, &[(self.address.port(), "")]).replace("protocol: HTTP}", "protocol: HTTP2}")
    }
}
