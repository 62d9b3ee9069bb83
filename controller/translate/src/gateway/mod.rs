//! All Gateways of the proxy together: which sockets it opens, which server serves which hosts there, and what the
//! VirtualServices need to know of that (docs/semantics.md §2).

mod listener;
mod merge;
mod port;
mod sockets;
mod tcp;
mod tenants;
mod tls;
mod validate;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use crds::{Gateway, ObjectKey, ObjectKind, Server};
use ir::{Listener, RouteGroup, RouteTable, SecretName, ServerRank, TableName};

use crate::ProxyScope;
use crate::host_index::HostIndex;
use crate::hosts;
use crate::ingress::{self, IngressServers};
use crate::mesh::Mesh;
use crate::report::Report;
use crate::steps;
use crate::tenancy::{self, Claims, is_shared};
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
    /// The owners of hosts.
    pub(crate) claims: Claims,
    /// Virtual hosts that keep claimed hosts from others' wildcards, where their owners have no route.
    pub(crate) closed: Option<RouteGroup>,
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
    /// Of `hosts`, by the namespace that each is for.
    index: BTreeMap<Option<String>, HostIndex>,
}

impl BoundServer {
    fn new(candidate: &Candidate<'_>, table: &TableName, https_redirect: bool) -> Self {
        let mut index: BTreeMap<Option<String>, HostIndex> = BTreeMap::new();
        for (position, ServerHost { namespace, host }) in candidate.hosts.iter().enumerate() {
            match index.get_mut(namespace) {
                Some(index) => index.insert(host, position),
                None => index.entry(namespace.clone()).or_default().insert(host, position),
            }
        }
        Self {
            table: table.clone(),
            rank: candidate.rank(),
            port: candidate.number,
            hosts: candidate.hosts.clone(),
            https_redirect,
            index,
        }
    }

    /// What hosts of a namespace's object, or of an Ingress, and those of the server have in common.
    pub(crate) fn common_hosts(&self, namespace: Option<&str>, theirs: &[Cow<'_, str>]) -> Vec<String> {
        let own = namespace.and_then(|namespace| self.index.get(&Some(namespace.to_owned())));
        let ours: Vec<&HostIndex> = self.index.get(&None).into_iter().chain(own).collect();
        hosts::intersection(&ours, |position| &self.hosts[position].host, theirs)
    }
}

/// An entry of a server's `hosts`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// Under strict tenancy: another TLS server wants one of its names.
    contested: bool,
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

    /// The namespace of whoever wrote the server.
    fn owner(&self) -> &str {
        self.ingress.map_or(&self.gateway.meta.namespace, |made| &made.ingress.namespace)
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

pub(crate) fn translate(context: &Context<'_, '_>, reports: &mut Vec<Report>) -> Gateways {
    tenancy::report_unlisted(context.mesh, context.proxy, reports);
    let of_ingresses = ingress::servers(context, reports);
    let mut gateways: Vec<(Typed<'_, Gateway>, Option<&IngressServers>)> =
        of_ingresses.iter().map(|made| (Typed { meta: &made.meta, spec: &made.gateway }, Some(made))).collect();
    let written = context.view.gateways().into_iter();
    gateways.extend(
        written.filter(|gateway| is_selected(*gateway, context.proxy, context.mesh)).map(|gateway| (gateway, None)),
    );
    if context.mesh.strict {
        gateways.sort_by_key(|(gateway, _)| gateway.age());
    }
    let mut listening = HashMap::new();
    let mut claims = Claims::new(context.mesh, context.proxy);
    let mut candidates = Vec::new();
    for (gateway, ingress) in gateways {
        let first = candidates.len();
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            steps::count();
            let mut port = |number| *listening.entry(number).or_insert_with(|| port::translate(context, number));
            candidates.extend(candidate(gateway, ingress, index, server, &mut port));
        }
        if ingress.is_none() {
            let hosts: Vec<(usize, &[ServerHost])> =
                candidates[first..].iter().map(|it: &Candidate<'_>| (it.index, it.hosts.as_slice())).collect();
            claims.add(gateway, &hosts, reports);
        }
    }
    let mut candidates = sockets::grant(context, candidates, reports);
    if context.mesh.strict {
        candidates = tenants::apart(context, &claims, candidates, reports);
    }
    let mut ports = merge::Ports::default();
    for candidate in candidates {
        ports.add(candidate, reports);
    }
    let closed = tenants::closed(context, &claims, &ports);
    let mut made = listener::build(context, ports, reports);
    (made.claims, made.closed) = (claims, closed);
    made
}

/// Whether a Gateway is for this proxy.
pub(crate) fn is_selected(gateway: Typed<'_, Gateway>, proxy: &ProxyScope, mesh: &Mesh) -> bool {
    let own = gateway.meta.namespace == proxy.namespace;
    let in_scope = own || (!mesh.config.scope_gateway_to_namespace && is_shared(&mesh.config, proxy));
    in_scope && gateway.spec.selector.as_ref().is_none_or(|selector| selects(selector, &proxy.labels))
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
    let hosts = read_hosts(&server.hosts, &gateway.meta.namespace);
    if hosts.is_empty() {
        return None;
    }
    let port = if is_unix { 0 } else { listening_port(number) };
    Some(Candidate { gateway, ingress, index, server, number, port, protocol, hosts, contested: false })
}

/// Reads host entries. `*/*` stands for all of them.
fn read_hosts(written: &[String], own: &str) -> Vec<ServerHost> {
    let any = || ServerHost { namespace: None, host: "*".to_owned() };
    let mut hosts = Vec::with_capacity(written.len());
    let mut seen = HashSet::new();
    for entry in written {
        steps::count();
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
        if seen.insert(entry.clone()) {
            hosts.push(entry);
        }
    }
    hosts
}
