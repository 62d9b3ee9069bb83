//! A connection to a port of a pod, whatever it listens on there: loopback is enough.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::Context as _;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::api::{AttachParams, AttachedProcess};
use kube::{Api, Client};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connect::plain;

/// Names a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Pod {
    /// `POD` or `POD.NAMESPACE`; names of pods may have dots, so that an explicit namespace settles it.
    pub(crate) fn parse(text: &str, namespace: Option<&str>, otherwise: &str) -> Self {
        let (name, namespace) = match (namespace, text.rsplit_once('.')) {
            (Some(namespace), _) => (text.strip_suffix(&format!(".{namespace}")).unwrap_or(text), namespace),
            (None, Some((name, namespace))) => (name, namespace),
            (None, None) => (text, otherwise),
        };
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.namespace)
    }
}

/// Bytes to and from a port.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) type Connection = Pin<Box<dyn Io>>;

/// How ports of pods are reached.
pub(crate) trait Transport: Send + Sync {
    fn connect<'a>(&'a self, pod: &'a Pod, port: u16) -> BoxFuture<'a, anyhow::Result<Connection>>;
}

/// Through the API server and the kubelet.
pub(crate) struct Forward {
    client: Client,
}

impl Forward {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Transport for Forward {
    fn connect<'a>(&'a self, pod: &'a Pod, port: u16) -> BoxFuture<'a, anyhow::Result<Connection>> {
        Box::pin(async move {
            let pods: Api<PodObject> = Api::namespaced(self.client.clone(), &pod.namespace);
            let mut forwarder = pods.portforward(&pod.name, &[port]).await.map_err(plain).with_context(|| {
                format!(
                    "port {port} of pod {pod} cannot be reached through the API server; does the pod run, and may you \
                     `create` `pods/portforward` in namespace {}?",
                    pod.namespace
                )
            })?;
            let stream = forwarder.take_stream(port).context("the API server forwards no such port")?;
            Ok(Box::pin(stream) as Connection)
        })
    }
}

/// The admin socket of a gateway, through the API server and a process beside the gateway: what changes something is asked
/// for there.
pub(crate) struct AdminSocket {
    client: Client,
}

impl AdminSocket {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Transport for AdminSocket {
    fn connect<'a>(&'a self, pod: &'a Pod, _: u16) -> BoxFuture<'a, anyhow::Result<Connection>> {
        Box::pin(async move {
            let pods: Api<PodObject> = Api::namespaced(self.client.clone(), &pod.namespace);
            let command = ["sluice-gateway", "admin", "--pipe"];
            let how = AttachParams::default().container("istio-proxy").stdin(true).stdout(true).stderr(false);
            let mut process = pods.exec(&pod.name, command, &how).await.map_err(plain).with_context(|| {
                format!(
                    "nothing can be run in pod {pod} through the API server; does the pod run, and may you `create` \
                     `pods/exec` in namespace {}?",
                    pod.namespace
                )
            })?;
            let (out, into) = (process.stdout(), process.stdin());
            let (Some(out), Some(into)) = (out, into) else { anyhow::bail!("the API server attaches no streams") };
            Ok(Box::pin(Attached { io: tokio::io::join(out, into), _process: process }) as Connection)
        })
    }
}

/// A process's streams, with what carries them.
struct Attached<IO> {
    io: IO,
    _process: AttachedProcess,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Attached<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Attached<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_named_with_or_without_their_namespace() {
        for (text, namespace, expected) in [
            ("edge-0", None, "edge-0.home"),
            ("edge-0.edge", None, "edge-0.edge"),
            ("edge-0", Some("x"), "edge-0.x"),
            ("edge.0", Some("x"), "edge.0.x"),
            ("edge-0.x", Some("x"), "edge-0.x"),
        ] {
            assert_eq!(Pod::parse(text, namespace, "home").to_string(), expected, "{text} {namespace:?}");
        }
    }
}
