//! Sockets a proxy accepts on, and what becomes of a connection.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::name::{ClusterName, Host, ListenerName, SecretName, TableName};

/// One bound socket. A connection whose first bytes are a TLS ClientHello goes to the TLS chain its SNI selects, any
/// other to `plaintext`; without a chain for it the connection is closed (docs/semantics.md §2.4, §2.7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    pub name: ListenerName,
    pub bind: Bind,
    /// Creation of the oldest Gateway that has a part in it, seconds since 1970. Where sockets run short, listeners of
    /// older Gateways have theirs first; of one age the order is that of names.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub created: i64,
    /// What serves connections that are not TLS.
    pub plaintext: Option<Chain>,
    /// What serves TLS, by SNI: exact beats the longest wildcard, which beats a chain without condition. No two chains
    /// share a pattern.
    pub tls: Vec<TlsChain>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Where a listener binds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Bind {
    /// Every address of the proxy, IPv4 and IPv6.
    Port(u16),
    Address(SocketAddr),
    /// A unix socket; a leading `@` stands for the abstract name space.
    Unix(PathBuf),
}

/// What is spoken on a connection after TLS, if any, has been taken off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Chain {
    /// HTTP/1.1 and HTTP/2, routed by the table of that name. A table that is missing or empty answers 404.
    Http { table: TableName },
    /// Bytes, to one of the clusters, chosen once per connection.
    Tcp(TcpChain),
}

/// Destinations of raw connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpChain {
    /// At least one entry; shares are relative. Weights are positive.
    pub destinations: Vec<(ClusterName, u32)>,
}

/// A terminating TLS server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsChain {
    /// Server names that select this chain; empty = any name, and none.
    pub sni: Vec<Host>,
    pub tls: ServerTls,
    pub chain: Chain,
}

/// How a server terminates TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// One per key type. While none can be used the handshake is closed.
    pub certificates: Vec<CertificateSource>,
    pub min_version: TlsVersion,
    pub max_version: TlsVersion,
    /// Suites for TLS 1.2 in OpenSSL's spelling; unknown names were left out. Empty = the proxy's default set.
    pub cipher_suites: Vec<String>,
}

/// Protocol versions; older ones are never spoken (docs/semantics.md §2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TlsVersion {
    #[serde(rename = "1.2")]
    V1_2,
    #[serde(rename = "1.3")]
    V1_3,
}

/// Where a server certificate and its key are found.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CertificateSource {
    /// A [`crate::Secret`] of that name, delivered like any resource.
    Secret(SecretName),
    /// PEM files in the proxy's own file system, read again when they change.
    Files { certificate: PathBuf, private_key: PathBuf },
}
