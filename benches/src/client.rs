//! A client that sees when an answer changes: one keep-alive connection and blocking calls, so that no scheduler stands
//! between the answer and the clock.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// Between two requests. A client that never sleeps would take a core from those it measures.
const PAUSE: Duration = Duration::from_micros(200);
/// Longer than any change takes.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// # Errors
    /// When the connection is refused.
    pub fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// The body of the answer.
    ///
    /// # Errors
    /// When it is not 200, or the connection ends.
    pub fn get(&mut self, host: &str, path: &str) -> anyhow::Result<String> {
        write!(self.stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
        self.buffer.clear();
        loop {
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes)?;
            if count == 0 {
                bail!("the connection was closed");
            }
            self.buffer.extend_from_slice(&bytes[..count]);
            if let Some(body) = whole(&String::from_utf8_lossy(&self.buffer))? {
                return Ok(body);
            }
        }
    }

    /// Asks until the answer is this one; tells when it came.
    ///
    /// # Errors
    /// When it does not come, or anything but 200 does.
    pub fn wait_for(&mut self, host: &str, path: &str, body: &str) -> anyhow::Result<Instant> {
        let start = Instant::now();
        loop {
            let answer = self.get(host, path)?;
            if answer == body {
                return Ok(Instant::now());
            }
            if start.elapsed() > PATIENCE {
                bail!("{host}{path} still answers {answer:?}, not {body:?}");
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// The body of a response, once all of it is there.
fn whole(text: &str) -> anyhow::Result<Option<String>> {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    if !head.starts_with("HTTP/1.1 200 ") {
        bail!("{head}");
    }
    let lengths = head.lines().filter_map(|line| line.split_once(": "));
    let mut lengths = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = lengths.next().context("an answer without length")?.1.parse()?;
    Ok((body.len() >= length).then(|| body.to_owned()))
}
