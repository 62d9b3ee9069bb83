//! HTTP/2, stream by stream.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::bail;
use bytes::Bytes;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::client::{PATIENCE, Reply, tls};

/// An HTTP/2 connection.
#[derive(Clone)]
pub struct H2 {
    send: h2::client::SendRequest<Bytes>,
    scheme: &'static str,
    ended: tokio::sync::watch::Receiver<bool>,
}

/// A response under way.
pub struct Answering {
    pub reply: Reply,
    pub body: h2::RecvStream,
}

impl Answering {
    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// When the stream is reset.
    pub async fn piece(&mut self) -> anyhow::Result<Option<Bytes>> {
        let Some(data) = tokio::time::timeout(PATIENCE, self.body.data()).await? else { return Ok(None) };
        let data = data?;
        self.body.flow_control().release_capacity(data.len())?;
        Ok(Some(data))
    }
}

impl H2 {
    /// Prior knowledge, in plaintext.
    ///
    /// # Errors
    /// When the connection is refused.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Self::over(stream, "http").await
    }

    /// # Errors
    /// When the connection is refused, the handshake fails or HTTP/2 is not negotiated.
    pub async fn connect_tls(address: SocketAddr, name: &str, config: Arc<ClientConfig>) -> anyhow::Result<Self> {
        let stream = tls(address, name, config).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            bail!("h2 was not negotiated");
        }
        Self::over(stream, "https").await
    }

    /// With windows of this size for every stream, and a big one for the connection.
    ///
    /// # Errors
    /// When the connection is refused.
    pub async fn connect_narrow(address: SocketAddr, window: u32) -> anyhow::Result<Self> {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window).initial_connection_window_size(16 << 20);
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Self::built(stream, "http", &builder).await
    }

    async fn over(
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        scheme: &'static str,
    ) -> anyhow::Result<Self> {
        Self::built(io, scheme, &h2::client::Builder::new()).await
    }

    async fn built(
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        scheme: &'static str,
        builder: &h2::client::Builder,
    ) -> anyhow::Result<Self> {
        let (send, connection) = builder.handshake(io).await?;
        let (end, ended) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            // How it ended shows in the requests.
            let _ = connection.await;
            let _ = end.send(true);
        });
        Ok(Self { send, scheme, ended })
    }

    /// The same connection, with requests that say another scheme.
    #[must_use]
    pub fn saying(&self, scheme: &'static str) -> Self {
        Self { scheme, ..self.clone() }
    }

    /// Waits for the end of the connection.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn closed(&mut self) -> anyhow::Result<()> {
        tokio::time::timeout(PATIENCE, self.ended.wait_for(|ended| *ended)).await??;
        Ok(())
    }

    /// Starts a request whose body is sent piece by piece.
    ///
    /// # Errors
    /// When no stream can be opened.
    pub async fn start(
        &mut self,
        method: &str,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
        end: bool,
    ) -> anyhow::Result<(h2::client::ResponseFuture, h2::SendStream<Bytes>)> {
        let uri = format!("{}://{host}{path}", self.scheme);
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut send = tokio::time::timeout(PATIENCE, self.send.clone().ready()).await??;
        Ok(send.send_request(request.body(())?, end)?)
    }

    /// The head of a response.
    ///
    /// # Errors
    /// When the stream is reset before it.
    pub async fn head(response: h2::client::ResponseFuture) -> anyhow::Result<Answering> {
        let response = tokio::time::timeout(PATIENCE, response).await??;
        let mut reply = Reply { status: response.status().as_u16(), ..Reply::default() };
        for (name, value) in response.headers() {
            reply.headers.push((name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        }
        Ok(Answering { reply, body: response.into_body() })
    }

    /// # Errors
    /// When no whole response comes.
    pub async fn get(&mut self, host: &str, path: &str) -> anyhow::Result<Reply> {
        self.request("GET", host, path, &[], None).await
    }

    /// # Errors
    /// When no whole response comes.
    pub async fn request(
        &mut self,
        method: &str,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> anyhow::Result<Reply> {
        let (response, mut stream) = self.start(method, host, path, headers, body.is_none()).await?;
        if let Some(body) = body {
            stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true)?;
        }
        let mut answering = Self::head(response).await?;
        while let Some(data) = answering.piece().await? {
            answering.reply.body.extend_from_slice(&data);
        }
        Ok(answering.reply)
    }
}
