//! All Gateways of the proxy together: which sockets it opens, which server serves which hosts there, and what the
//! VirtualServices need to know of that (docs/semantics.md §2).

mod listener;
mod merge;
mod port;
mod tcp;
mod tls;
mod validate;

use std::collections::{BTreeMap, HashMap};

use crds::{Gateway, ObjectKey, ObjectKind, Server};
use ir::{Listener, RouteTable, SecretName, ServerRank, TableName};

use crate::ProxyScope;
use crate::ingress::{self, IngressServers};
use crate::report::Report;
use crate::unit::{Context, Needed};
use crate::world::{GatewayName, ServersByGateway, Typed, selects};

pub(crate) use port::translate as listening_port;
pub(crate) use validate::{validate, validate_name};

/// What the Gateways amount to.
#[derive(Debug, Default)]
pub(crate) struct Gateways {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) tables: Vec<RouteTable>,
    pub(crate) servers: ServersByGateway,
    pub(crate) secrets: BTreeMap<SecretName, Vec<SecretUse>>,
    /// Clusters of TCP servers.
    pub(crate) needed: Needed,
}

/// A place that names a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretUse {
    pub(crate) gateway: ObjectKey,
    pub(crate) field: String,
}

/// A server that routes HTTP, as VirtualServices see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BoundServer {
    pub(crate) table: TableName,
    pub(crate) rank: ServerRank,
    /// The number written in the Gateway, which routes compare with (docs/semantics.md §2.3).
    pub(crate) port: u16,
    pub(crate) hosts: Vec<ServerHost>,
    pub(crate) https_redirect: bool,
}

/// An entry of a server's `hosts`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServerHost {
    /// Only VirtualServices of this namespace; any without.
    pub(crate) namespace: Option<String>,
    pub(crate) host: String,
}

impl ServerHost {
    /// Whether a VirtualService of that namespace may use this entry.
    pub(crate) fn admits(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }
}

/// A server on its way to a listener.
struct Candidate<'a> {
    gateway: Typed<'a, Gateway>,
    /// What the Gateway stands for, where no user wrote it.
    ingress: Option<&'a IngressServers>,
    index: usize,
    server: &'a Server,
    /// As written.
    number: u16,
    /// Where it listens.
    port: u16,
    protocol: ServerProtocol,
    hosts: Vec<ServerHost>,
}

/// What a server's protocol and TLS settings make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerProtocol {
    Http,
    Tcp,
    /// HTTPS or TLS, terminated or not.
    Tls,
}

impl Candidate<'_> {
    fn gateway_name(&self) -> GatewayName {
        GatewayName { namespace: self.gateway.meta.namespace.clone(), name: self.gateway.meta.name.clone() }
    }

    /// The object that the server was written in.
    fn object(&self) -> ObjectKey {
        self.ingress.map_or_else(|| self.gateway.key(ObjectKind::Gateway), |made| made.ingress.clone())
    }

    /// Where in it.
    fn path(&self) -> String {
        let field = self.ingress.and_then(|made| made.fields.get(self.index)).cloned();
        field.unwrap_or_else(|| format!("spec.servers[{}]", self.index))
    }

    /// Where a field of its `tls` block was written that names a certificate.
    fn credential_path(&self, field: &str) -> String {
        let path = self.path();
        if self.ingress.is_some() { format!("{path}.secretName") } else { format!("{path}.tls.{field}") }
    }

    fn rank(&self) -> ServerRank {
        ServerRank {
            created: self.gateway.meta.created.unwrap_or(0),
            name: self.gateway.meta.name.clone(),
            namespace: self.gateway.meta.namespace.clone(),
            index: u32::try_from(self.index).unwrap_or(u32::MAX),
        }
    }

    fn bind(&self) -> Option<&str> {
        self.server.bind.as_deref().filter(|bind| !bind.is_empty())
    }
}

pub(crate) fn translate(context: &Context<'_>, reports: &mut Vec<Report>) -> Gateways {
    let of_ingresses = ingress::servers(context, reports);
    let mut gateways: Vec<(Typed<'_, Gateway>, Option<&IngressServers>)> =
        of_ingresses.iter().map(|made| (Typed { meta: &made.meta, spec: &made.gateway }, Some(made))).collect();
    let written = context.view.gateways().into_iter();
    gateways.extend(written.filter(|gateway| is_selected(gateway.spec, context.proxy)).map(|gateway| (gateway, None)));
    let mut ports = merge::Ports::default();
    let mut listening = HashMap::new();
    for (gateway, ingress) in gateways {
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            let mut port = |number| *listening.entry(number).or_insert_with(|| port::translate(context, number));
            if let Some(candidate) = candidate(gateway, ingress, index, server, &mut port) {
                ports.add(candidate, reports);
            }
        }
    }
    listener::build(context, ports, reports)
}

/// Whether a Gateway is for this proxy.
pub(crate) fn is_selected(gateway: &Gateway, proxy: &ProxyScope) -> bool {
    gateway.selector.as_ref().is_none_or(|selector| selects(selector, &proxy.labels))
}

/// A server that can be programmed at all; `validate` reported the others.
fn candidate<'a>(
    gateway: Typed<'a, Gateway>,
    ingress: Option<&'a IngressServers>,
    index: usize,
    server: &'a Server,
    listening_port: &mut dyn FnMut(u16) -> u16,
) -> Option<Candidate<'a>> {
    let written = server.port.as_ref()?;
    let number = u16::try_from(written.number).ok()?;
    let is_unix = server.bind.as_deref().is_some_and(|bind| bind.starts_with("unix://"));
    if (number == 0) != is_unix {
        return None;
    }
    let protocol = match written.protocol.to_ascii_uppercase().as_str() {
        "HTTP" | "HTTP2" | "GRPC" | "GRPC-WEB" | "HTTP_PROXY" => ServerProtocol::Http,
        "HTTPS" | "TLS" => ServerProtocol::Tls,
        "TCP" | "MONGO" | "REDIS" | "MYSQL" => ServerProtocol::Tcp,
        _ => return None,
    };
    if protocol == ServerProtocol::Tls && server.tls.is_none() {
        return None;
    }
    let hosts = hosts(&server.hosts, &gateway.meta.namespace);
    if hosts.is_empty() {
        return None;
    }
    let port = if is_unix { 0 } else { listening_port(number) };
    Some(Candidate { gateway, ingress, index, server, number, port, protocol, hosts })
}

/// Reads host entries. `*/*` stands for all of them.
fn hosts(written: &[String], own: &str) -> Vec<ServerHost> {
    let any = || ServerHost { namespace: None, host: "*".to_owned() };
    let mut hosts = Vec::with_capacity(written.len());
    for entry in written {
        let (namespace, host) = match entry.split_once('/') {
            None => (None, entry.as_str()),
            Some(("*", "*")) => return vec![any()],
            Some(("*", host)) => (None, host),
            Some((".", host)) => (Some(own.to_owned()), host),
            Some((namespace, host)) => (Some(namespace.to_owned()), host),
        };
        if host.is_empty() {
            continue;
        }
        let entry = ServerHost { namespace, host: host.to_owned() };
        if !hosts.contains(&entry) {
            hosts.push(entry);
        }
    }
    hosts
}
