//! HTTP/1.1 by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{PATIENCE, Reply, tls};

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
