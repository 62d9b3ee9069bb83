//! HTTP/2 connections to endpoints, each shared by many requests of one worker.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use pingora_core::protocols::Stream as Io;

use crate::proxy::error::Failure;

/// Windows towards upstreams.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Of a response's decoded head (docs/security.md, "Limits").
const MAX_HEAD: u32 = 60 * 1024;
const MAX_SEND_BUFFER: usize = 64 * 1024;
/// Streams that a connection carries before another one is opened, unless the upstream allows fewer.
const MAX_STREAMS: usize = 1000;

#[derive(Debug, Default)]
pub(crate) struct SharedConnections {
    by_endpoint: Mutex<HashMap<u64, Arc<OfEndpoint>>>,
}

/// The connections to one endpoint.
#[derive(Debug, Default)]
struct OfEndpoint {
    open: Mutex<Vec<Connection>>,
    /// Held while connecting, so that a burst opens one connection and not one for each request.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Connection {
    send: SendRequest<Bytes>,
    streams: Arc<AtomicUsize>,
    /// Cleared when the connection has ended.
    alive: Arc<AtomicUsize>,
}

/// Counts a stream as open for as long as it lives.
#[derive(Debug)]
pub(crate) struct Stream(Arc<AtomicUsize>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl SharedConnections {
    /// A connection with room for a stream, opened by `connect` if there is none. True: it served others before.
    pub(crate) async fn get(
        &self,
        key: u64,
        idle_timeout: Option<Duration>,
        connect: impl Future<Output = Result<Io, Failure>>,
    ) -> Result<(SendRequest<Bytes>, Stream, bool), Failure> {
        let endpoint = {
            let mut all = self.by_endpoint.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(key).or_default())
        };
        if let Some((send, stream)) = endpoint.with_room() {
            return Ok((send, stream, true));
        }
        let _connecting = endpoint.connecting.lock().await;
        if let Some((send, stream)) = endpoint.with_room() {
            return Ok((send, stream, true));
        }
        let io = connect.await?;
        let mut builder = Builder::new();
        builder
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEAD)
            .max_send_buffer_size(MAX_SEND_BUFFER)
            .enable_push(false);
        let (send, driver) = builder.handshake(io).await.map_err(|_| Failure::UpstreamProtocol)?;
        let connection = Connection { send, streams: Arc::default(), alive: Arc::new(AtomicUsize::new(1)) };
        let (alive, streams) = (Arc::clone(&connection.alive), Arc::clone(&connection.streams));
        let taken = connection.take();
        endpoint.open.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        let owner = Arc::clone(&endpoint);
        tokio::spawn(async move {
            let mut driver = std::pin::pin!(driver);
            loop {
                let idle = tokio::time::sleep(idle_timeout.unwrap_or(Duration::from_secs(3600)));
                tokio::select! {
                    // How it ended shows in the streams it carried.
                    _ = &mut driver => break,
                    () = idle, if idle_timeout.is_some() => {
                        if streams.load(Ordering::Relaxed) == 0 {
                            break;
                        }
                    }
                }
            }
            alive.store(0, Ordering::Relaxed);
            owner.forget_dead();
        });
        let (send, stream) = taken;
        Ok((send, stream, false))
    }
}

impl OfEndpoint {
    fn with_room(&self) -> Option<(SendRequest<Bytes>, Stream)> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().find(|connection| connection.has_room()).map(Connection::take)
    }

    fn forget_dead(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|connection| connection.alive.load(Ordering::Relaxed) != 0);
    }
}

impl Connection {
    fn has_room(&self) -> bool {
        let limit = self.send.current_max_send_streams().min(MAX_STREAMS);
        self.alive.load(Ordering::Relaxed) != 0 && self.streams.load(Ordering::Relaxed) < limit
    }

    fn take(&self) -> (SendRequest<Bytes>, Stream) {
        self.streams.fetch_add(1, Ordering::Relaxed);
        (self.send.clone(), Stream(Arc::clone(&self.streams)))
    }
}
