//! One question over HTTP to a port of a pod.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;

use super::forward::{Pod, Transport};

/// A dump of ten thousand routes has some ten MiB.
const MAX_ANSWER: usize = 512 << 20;
const PATIENCE: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
}

pub(crate) async fn get(transport: &dyn Transport, pod: &Pod, port: u16, path: &str) -> anyhow::Result<Answer> {
    ask(transport, pod, port, Method::GET, path).await
}

pub(crate) async fn post(transport: &dyn Transport, pod: &Pod, port: u16, path: &str) -> anyhow::Result<Answer> {
    ask(transport, pod, port, Method::POST, path).await
}

async fn ask(transport: &dyn Transport, pod: &Pod, port: u16, method: Method, path: &str) -> anyhow::Result<Answer> {
    let asked = tokio::time::timeout(PATIENCE, exchange(transport, pod, port, method, path)).await;
    asked.with_context(|| format!("pod {pod} does not answer on port {port} within {PATIENCE:?}"))?
}

async fn exchange(
    transport: &dyn Transport,
    pod: &Pod,
    port: u16,
    method: Method,
    path: &str,
) -> anyhow::Result<Answer> {
    let connection = transport.connect(pod, port).await?;
    let nobody = || format!("nothing answers HTTP on port {port} of pod {pod}");
    let (mut sender, driver) =
        hyper::client::conn::http1::handshake(TokioIo::new(connection)).await.with_context(nobody)?;
    let driving = tokio::spawn(driver);
    let request = Request::builder().method(method).uri(path).header("host", "localhost").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await.with_context(nobody)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the answer of pod {pod} ends early: {error}"))?.to_bytes();
    driving.abort();
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
}

impl Answer {
    /// The body, if the answer is a good one.
    pub(crate) fn good(self, what: &str) -> anyhow::Result<String> {
        anyhow::ensure!(self.status.is_success(), "{what} answers {}: {}", self.status, self.body.trim());
        Ok(self.body)
    }
}
