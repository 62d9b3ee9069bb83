//! The cluster, as the commands that ask one see it: who they are there, what objects there are, and how a pod's own
//! ports are reached. Changes nothing in a cluster.

mod connect;
mod forward;
mod http;
mod objects;
mod target;

pub(crate) use connect::{Cluster, plain, status_of};
#[cfg(test)]
pub(crate) use forward::Connection;
pub(crate) use forward::{AdminSocket, Forward, Pod, Transport};
pub(crate) use http::{get, post};
pub(crate) use objects::{Read, SecretAnswer};

/// Runs what asks a cluster.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    // An error means that the process has a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
