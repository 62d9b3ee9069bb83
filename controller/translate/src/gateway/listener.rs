//! Sockets and route tables of the servers that remain after merging.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use crds::ServerTlsMode;
use ir::{Bind, Chain, Host, Listener, ListenerName, RouteTable, TableName, TlsChain};

use super::merge::{Ports, Socket, SocketName};
use super::{BoundServer, Candidate, Gateways, ServerProtocol, tcp, tls};
use crate::report::{Problem, Report};
use crate::unit::Context;

pub(super) fn build<'a>(context: &Context<'_, 'a>, ports: Ports<'_>, reports: &mut Vec<Report>) -> Gateways {
    let mut made = Gateways::default();
    let mut routes = tcp::Routes::default();
    for candidate in &ports.left_out {
        // Its certificate is to be known, because it decides who gets the name.
        if let Some(settings) = &candidate.server.tls {
            tls::translate(candidate, settings, &mut made.secrets);
        }
    }
    for (name, socket) in &ports.sockets {
        let Some(bind) = bind(name) else { continue };
        let plaintext = plaintext(context, name, socket, &mut routes, &mut made, reports);
        let mut chains = Vec::new();
        for candidate in &socket.tls {
            chains.extend(tls_chain(context, candidate, &mut routes, &mut made, reports));
        }
        // A port without any chain is not opened (docs/semantics.md §2.9).
        if plaintext.is_none() && chains.is_empty() {
            continue;
        }
        let created = socket.candidates().map(|candidate| candidate.rank().created).min().unwrap_or(0);
        made.listeners.push(Listener { name: listener_name(name), bind, created, plaintext, tls: chains });
    }
    made
}

fn plaintext<'a>(
    context: &Context<'_, 'a>,
    name: &SocketName,
    socket: &Socket<'_>,
    routes: &mut tcp::Routes<'a>,
    made: &mut Gateways,
    reports: &mut Vec<Report>,
) -> Option<Chain> {
    let first = socket.plaintext.first()?;
    if first.protocol == ServerProtocol::Tcp {
        return tcp_chain(context, first, routes, made, reports);
    }
    let mut table = route_table(context, TableName::from(http_table(name)));
    for candidate in &socket.plaintext {
        let redirect = candidate.server.tls.as_ref().is_some_and(|tls| tls.https_redirect);
        if redirect {
            let hosts = candidate.hosts.iter().map(|host| Host::from(host.host.to_ascii_lowercase()));
            table.https_redirect.extend(hosts);
        }
        bind_server(candidate, &table.name, redirect, made);
    }
    table.https_redirect.sort();
    table.https_redirect.dedup();
    let chain = Chain::Http { table: table.name.clone() };
    made.tables.push(table);
    Some(chain)
}

fn tls_chain<'a>(
    context: &Context<'_, 'a>,
    candidate: &Candidate<'_>,
    routes: &mut tcp::Routes<'a>,
    made: &mut Gateways,
    reports: &mut Vec<Report>,
) -> Option<TlsChain> {
    let settings = candidate.server.tls.as_ref()?;
    let table = TableName::from(tls::table_name(candidate));
    let is_https = candidate.server.port.as_ref().is_some_and(|port| port.protocol.eq_ignore_ascii_case("HTTPS"));
    let chain = match settings.mode {
        // Routed by SNI without termination, which does not exist yet: the chain has no certificate and closes.
        ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough => Chain::Http { table },
        ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual | ServerTlsMode::IstioMutual
            if is_https =>
        {
            bind_server(candidate, &table, false, made);
            made.tables.push(route_table(context, table.clone()));
            Chain::Http { table }
        }
        ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual | ServerTlsMode::IstioMutual => {
            tcp_chain(context, candidate, routes, made, reports)?
        }
    };
    let sni = match tls::server_names(candidate) {
        names if names.iter().any(|name| name == "*") => Vec::new(),
        names => names.into_iter().map(Host::from).collect(),
    };
    Some(TlsChain { sni, tls: tls::translate(candidate, settings, &mut made.secrets), chain })
}

fn route_table(context: &Context<'_, '_>, name: TableName) -> RouteTable {
    RouteTable { name, https_redirect: Vec::new(), namespaces_apart: context.mesh.strict }
}

fn tcp_chain<'a>(
    context: &Context<'_, 'a>,
    candidate: &Candidate<'_>,
    routes: &mut tcp::Routes<'a>,
    made: &mut Gateways,
    reports: &mut Vec<Report>,
) -> Option<Chain> {
    let chain = tcp::chain(context, candidate, routes, &mut made.needed, reports);
    if chain.is_none() {
        let (object, field) = (candidate.object(), candidate.path());
        reports.push(Report { object, field, problem: Problem::NoTcpRoute });
    }
    chain.map(Chain::Tcp)
}

/// Lets VirtualServices find the server.
fn bind_server(candidate: &Candidate<'_>, table: &TableName, https_redirect: bool, made: &mut Gateways) {
    let server = BoundServer::new(candidate, table, https_redirect);
    Arc::make_mut(made.servers.entry(candidate.gateway_name()).or_default()).push(server);
}

fn bind(name: &SocketName) -> Option<Bind> {
    if name.bind.is_empty() {
        return Some(Bind::Port(name.port));
    }
    if let Some(path) = name.bind.strip_prefix("unix://") {
        return Some(Bind::Unix(PathBuf::from(path)));
    }
    let ip: IpAddr = name.bind.parse().ok()?;
    Some(Bind::Address(SocketAddr::new(ip, name.port)))
}

fn listener_name(name: &SocketName) -> ListenerName {
    let SocketName { port, bind } = name;
    ListenerName::from(match bind.as_str() {
        "" => format!("0.0.0.0_{port}"),
        bind if bind.starts_with("unix://") => bind.to_owned(),
        bind => format!("{bind}_{port}"),
    })
}

pub(super) fn http_table(name: &SocketName) -> String {
    let SocketName { port, bind } = name;
    if bind.is_empty() { format!("http.{port}") } else { format!("http.{port}.{bind}") }
}
