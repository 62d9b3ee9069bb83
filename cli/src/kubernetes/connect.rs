//! From the command line and kubeconfig to a client.

use std::time::Duration;

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::args::cluster::ConnectArgs;

/// An API server that does not answer at all must not hold anybody for long.
const CONNECT: Duration = Duration::from_secs(10);

/// A cluster and who asks it.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// The namespace of the context.
    pub(crate) namespace: String,
    /// Namespace of the control plane.
    pub(crate) control_namespace: String,
    /// The API server's address.
    pub(crate) server: String,
}

impl Cluster {
    pub(crate) async fn connect(args: &ConnectArgs) -> anyhow::Result<Self> {
        let ConnectArgs { kubeconfig, context, istio_namespace } = args;
        let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
        let mut config = match kubeconfig {
            Some(path) => {
                let read = Kubeconfig::read_from(path)
                    .with_context(|| format!("{} cannot be read as a kubeconfig", path.display()))?;
                Config::from_custom_kubeconfig(read, &options).await.context(hint(context.as_deref()))?
            }
            None if context.is_some() => Config::from_kubeconfig(&options).await.context(hint(context.as_deref()))?,
            None => Config::infer()
                .await
                .context("there is no cluster to ask: name a kubeconfig with --kubeconfig or KUBECONFIG")?,
        };
        config.connect_timeout = Some(CONNECT);
        let (namespace, server) = (config.default_namespace.clone(), config.cluster_url.to_string());
        let client = Client::try_from(config).context("the kubeconfig cannot be used")?;
        Ok(Self { client, namespace, control_namespace: istio_namespace.clone(), server })
    }
}

fn hint(context: Option<&str>) -> String {
    match context {
        Some(context) => format!("context {context:?} cannot be used; `kubectl config get-contexts` lists them"),
        None => "the kubeconfig cannot be used; does it have a current-context?".to_owned(),
    }
}

/// Whether the API server says that there is no such thing, or no right to see it.
pub(crate) fn status_of(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// What the API server says, without the form it says it in.
pub(crate) fn plain(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => anyhow::Error::msg(status.message),
        other => anyhow::Error::new(other),
    }
}
