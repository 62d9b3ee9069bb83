//! A connection to a port of a pod, whatever it listens on there: loopback is enough.

use std::fmt;
use std::pin::Pin;

use anyhow::Context as _;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::{Api, Client};
use tokio::io::{AsyncRead, AsyncWrite};

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
