//! Clients that show every byte, and one that counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than anything a test waits for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    /// Names in the case in which they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Which backend answered; empty for the proxy itself.
    #[must_use]
    pub fn backend(&self) -> &str {
        self.header("x-backend").unwrap_or_default()
    }

    /// What the backend saw.
    #[must_use]
    pub fn seen(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The values of a field as the backend saw it.
    #[must_use]
    pub fn seen_header(&self, name: &str) -> Vec<String> {
        let seen = self.seen();
        let headers = seen["headers"].as_array().cloned().unwrap_or_default();
        let lines = headers.into_iter().filter(|line| line[0] == name);
        lines.map(|line| line[1].as_str().unwrap_or_default().to_owned()).collect()
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// An HTTP/1.1 connection.
pub struct H1 {
    io: Box<dyn Io>,
    buffer: Vec<u8>,
}

impl H1 {
    /// # Errors
    /// When the connection is refused.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { io: Box::new(stream), buffer: Vec::new() })
    }

    /// # Errors
    /// When the connection is refused or the handshake fails.
    pub async fn connect_tls(address: SocketAddr, name: &str, config: Arc<ClientConfig>) -> anyhow::Result<Self> {
        Ok(Self { io: Box::new(tls(address, name, config).await?), buffer: Vec::new() })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, text: &str) -> anyhow::Result<()> {
        self.io.write_all(text.as_bytes()).await?;
        self.io.flush().await?;
        Ok(())
    }

    /// A GET.
    ///
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
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = body {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body.unwrap_or_default());
        self.send(&text).await?;
        self.reply(method == "HEAD").await
    }

    async fn fill(&mut self) -> anyhow::Result<usize> {
        let mut bytes = [0; 16 * 1024];
        let count = tokio::time::timeout(PATIENCE, self.io.read(&mut bytes)).await.context("no answer in time")??;
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// The next response.
    ///
    /// # Errors
    /// When the connection ends before it.
    pub async fn reply(&mut self, to_head: bool) -> anyhow::Result<Reply> {
        let mut reply = self.head().await?;
        if to_head || matches!(reply.status, 100..200 | 204 | 304) {
            return Ok(reply);
        }
        if reply.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            loop {
                let size = usize::from_str_radix(self.line().await?.trim(), 16)?;
                let chunk = self.exactly(size + 2).await?;
                if size == 0 {
                    return Ok(reply);
                }
                reply.body.extend_from_slice(&chunk[..size]);
            }
        }
        let length = reply.header("content-length").context("a response without length")?.parse()?;
        reply.body = self.exactly(length).await?;
        Ok(reply)
    }

    /// The next response's head alone.
    ///
    /// # Errors
    /// When the connection ends before it.
    pub async fn head(&mut self) -> anyhow::Result<Reply> {
        let line = self.line().await?;
        let status = line.split(' ').nth(1).context("a status line")?.parse()?;
        let mut reply = Reply { status, ..Reply::default() };
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(reply);
            }
            let (name, value) = line.split_once(':').context("a field line")?;
            reply.headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// When the connection ends before it.
    pub async fn line(&mut self) -> anyhow::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            if self.fill().await? == 0 {
                bail!("closed after {:?}", String::from_utf8_lossy(&self.buffer));
            }
        }
    }

    /// # Errors
    /// When the connection ends before that many bytes.
    pub async fn exactly(&mut self, count: usize) -> anyhow::Result<Vec<u8>> {
        while self.buffer.len() < count {
            if self.fill().await? == 0 {
                bail!("closed after {} of {count} bytes", self.buffer.len());
            }
        }
        let rest = self.buffer.split_off(count);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// Sends bytes that are no text.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await?;
        Ok(())
    }

    /// Everything up to the end of the connection.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn rest(&mut self) -> anyhow::Result<String> {
        loop {
            match self.fill().await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.downcast_ref::<std::io::Error>().is_some() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned())
    }

    /// Whether nothing was sent and the connection is open.
    #[must_use]
    pub async fn is_silent(&mut self) -> bool {
        let mut byte = [0; 1];
        let wait = tokio::time::timeout(Duration::from_millis(30), self.io.read(&mut byte));
        self.buffer.is_empty() && wait.await.is_err()
    }

    /// Whether the other side closes without sending anything more.
    ///
    /// # Errors
    /// When it neither closes nor sends in time.
    pub async fn is_closed(&mut self) -> anyhow::Result<bool> {
        if !self.buffer.is_empty() {
            return Ok(false);
        }
        match self.fill().await {
            Ok(count) => Ok(count == 0),
            Err(error) if error.downcast_ref::<std::io::Error>().is_some() => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// A TLS connection.
///
/// # Errors
/// When the connection is refused or the handshake fails.
pub async fn tls(
    address: SocketAddr,
    name: &str,
    config: Arc<ClientConfig>,
) -> anyhow::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let connector = tokio_rustls::TlsConnector::from(config);
    Ok(tokio::time::timeout(PATIENCE, connector.connect(ServerName::try_from(name.to_owned())?, stream)).await??)
}

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
