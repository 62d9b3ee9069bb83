//! From a dump to what is asked for: filters and columns, as istioctl has them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Shown;
use super::dump::{Dump, items, text};
use crate::table::Table;

#[derive(Debug, Default)]
pub(super) struct ListenerFilter<'a> {
    pub(super) port: Option<u16>,
    pub(super) address: Option<&'a str>,
    pub(super) kind: Option<&'a str>,
}

#[derive(Debug, Default)]
pub(super) struct ClusterFilter<'a> {
    pub(super) fqdn: Option<&'a str>,
    pub(super) port: Option<u16>,
    pub(super) subset: Option<&'a str>,
    pub(super) direction: Option<&'a str>,
}

#[derive(Debug, Default)]
pub(super) struct EndpointFilter<'a> {
    pub(super) cluster: Option<&'a str>,
    pub(super) port: Option<u16>,
    pub(super) address: Option<&'a str>,
    pub(super) status: Option<&'a str>,
}

/// `outbound|80|v1|web.shop.svc.cluster.local` taken apart.
struct Name<'a> {
    direction: &'a str,
    port: &'a str,
    subset: &'a str,
    host: &'a str,
}

fn cluster_name(name: &str) -> Name<'_> {
    let mut parts = name.splitn(4, '|');
    let mut next = || parts.next().unwrap_or_default();
    Name { direction: next(), port: next(), subset: next(), host: next() }
}

pub(super) fn listeners(dump: &Dump, filter: &ListenerFilter<'_>) -> Shown {
    let mut table = Table::new(&["ADDRESSES", "PORT", "MATCH", "DESTINATION", "CERTIFICATE"]);
    let mut data = Vec::new();
    for listener in dump.list("listeners") {
        let (address, port) = place(listener);
        let mut chains: Vec<(&str, String, &Value)> = items(&listener["tls"])
            .map(|chain| ("HTTPS", format!("SNI: {}", text(chain, "sni")), chain))
            .chain(
                Some(&listener["plaintext"]).filter(|it| !it.is_null()).map(|it| ("HTTP", "plaintext".to_owned(), it)),
            )
            .collect();
        let is_kind = |name: &str, chain: &Value| {
            let name = if text(chain, "protocol") == "tcp" { "TCP" } else { name };
            filter.kind.is_none_or(|kind| kind.eq_ignore_ascii_case(name))
        };
        chains.retain(|(name, _, chain)| is_kind(name, chain));
        let fits = filter.port.is_none_or(|wanted| port == wanted.to_string())
            && filter.address.is_none_or(|wanted| address == wanted)
            && (filter.kind.is_none() || !chains.is_empty());
        if !fits {
            continue;
        }
        data.push(listener.clone());
        for (_, what, chain) in chains {
            let destination = match text(chain, "protocol") {
                "tcp" => "TCP".to_owned(),
                _ => format!("Route: {}", text(chain, "route")),
            };
            let mut certificates: Vec<&str> = items(&chain["certificates"]).filter_map(Value::as_str).collect();
            if chain.get("usable").is_some_and(|usable| usable == false) {
                certificates.push("(not usable: handshakes are closed)");
            }
            table.row(vec![address.clone(), port.clone(), what, destination, certificates.join(" ")]);
        }
    }
    Shown { data: Value::Array(data), table }
}

/// Address and port that a listener is bound to, or should be.
fn place(listener: &Value) -> (String, String) {
    if let Some((address, port)) = listener["bound"].as_str().and_then(|bound| bound.rsplit_once(':')) {
        return (address.trim_matches(['[', ']']).to_owned(), port.to_owned());
    }
    let bind = &listener["bind"];
    if let Some(port) = bind["port"].as_u64() {
        return ("not bound".to_owned(), port.to_string());
    }
    let address = bind["address"].as_str().or(bind["unix"].as_str()).unwrap_or_else(|| text(listener, "name"));
    let (address, port) = address.rsplit_once(':').unwrap_or((address, ""));
    (format!("{address} (not bound)"), port.to_owned())
}

pub(super) fn routes(dump: &Dump, name: Option<&str>, host: Option<&str>) -> Shown {
    let mut table = Table::new(&["NAME", "VHOST", "MATCH", "VIRTUAL SERVICE", "DESTINATION"]);
    let mut data = Vec::new();
    for routes in dump.list("route_tables") {
        let called = match routes["name"].as_str() {
            Some(called) => called.to_owned(),
            None => format!("table {}", routes["table"]),
        };
        if name.is_some_and(|wanted| wanted != called) {
            continue;
        }
        let mut kept = routes.clone();
        let hosts: Vec<&Value> =
            items(&routes["virtual_hosts"]).filter(|it| host.is_none_or(|wanted| text(it, "host") == wanted)).collect();
        kept["virtual_hosts"] = Value::Array(hosts.iter().map(|host| (*host).clone()).collect());
        data.push(kept);
        for host in hosts {
            let domain = text(host, "host").to_owned();
            if host["https_redirect"] == true {
                let to = "redirect to https".to_owned();
                table.row(vec![called.clone(), domain.clone(), "plain HTTP".to_owned(), String::new(), to]);
            }
            for route in items(&host["routes"]) {
                let matches = Some(text(route, "match")).filter(|text| !text.is_empty()).unwrap_or("everything");
                let cells = [&called, &domain, matches, text(route, "object"), &destinations(route)];
                table.row(cells.map(str::to_owned).to_vec());
            }
        }
    }
    Shown { data: Value::Array(data), table }
}

fn destinations(route: &Value) -> String {
    let all: Vec<&Value> = items(&route["destinations"]).collect();
    match all.as_slice() {
        [] => text(route, "action").to_owned(),
        [one] => text(one, "cluster").to_owned(),
        many => {
            let shares = many.iter().map(|one| format!("{} ×{}", text(one, "cluster"), one["weight"]));
            shares.collect::<Vec<_>>().join(", ")
        }
    }
}

pub(super) fn clusters(dump: &Dump, filter: &ClusterFilter<'_>) -> Shown {
    let mut table =
        Table::new(&["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "PROTOCOL", "BALANCING", "ENDPOINTS"]);
    let mut data = Vec::new();
    for cluster in dump.list("clusters") {
        let config = &cluster["config"];
        let name = cluster_name(text(config, "name"));
        let fits = filter.fqdn.is_none_or(|wanted| name.host.contains(wanted))
            && filter.port.is_none_or(|wanted| name.port == wanted.to_string())
            && filter.subset.is_none_or(|wanted| name.subset == wanted)
            && filter.direction.is_none_or(|wanted| name.direction.eq_ignore_ascii_case(wanted));
        if !fits {
            continue;
        }
        data.push(cluster.clone());
        let discovery = if config["discovery"].get("dns").is_some() { "DNS" } else { "EDS" };
        let protocol = match text(config, "protocol") {
            "http1" => "HTTP/1.1",
            "http2" => "HTTP/2",
            _ => "as the client",
        };
        table.row(vec![
            name.host.to_owned(),
            name.port.to_owned(),
            name.subset.to_owned(),
            name.direction.to_owned(),
            discovery.to_owned(),
            protocol.to_owned(),
            text(config, "balancing").to_owned(),
            items(&cluster["endpoints"]).count().to_string(),
        ]);
    }
    Shown { data: Value::Array(data), table }
}

pub(super) fn endpoints(dump: &Dump, filter: &EndpointFilter<'_>) -> Shown {
    let mut table = Table::new(&["ENDPOINT", "STATUS", "WEIGHT", "ACTIVE", "CLUSTER"]);
    let mut data = Vec::new();
    for cluster in dump.list("clusters") {
        let name = text(&cluster["config"], "name");
        if filter.cluster.is_some_and(|wanted| wanted != name) {
            continue;
        }
        for endpoint in items(&cluster["endpoints"]) {
            let (address, health) = (text(endpoint, "address"), text(endpoint, "health"));
            let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
            let fits = filter.port.is_none_or(|wanted| port == wanted.to_string())
                && filter.address.is_none_or(|wanted| host.trim_matches(['[', ']']) == wanted)
                && filter.status.is_none_or(|wanted| health.eq_ignore_ascii_case(wanted));
            if fits {
                let mut kept = endpoint.clone();
                kept["cluster"] = json!(name);
                data.push(kept);
                let (weight, active) = (endpoint["weight"].to_string(), endpoint["active"].to_string());
                table.row(vec![address.to_owned(), health.to_owned(), weight, active, name.to_owned()]);
            }
        }
    }
    Shown { data: Value::Array(data), table }
}

pub(super) fn secrets(dump: &Dump) -> Shown {
    let mut table =
        Table::new(&["RESOURCE NAME", "TYPE", "STATUS", "NAMES", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"]);
    let certificates = dump.certificates();
    let identity = &certificates["identity"];
    if !identity.is_null() {
        let chain = items(&identity["chain"]).next();
        row(&mut table, "default", "identity", true, chain);
        row(&mut table, "ROOTCA", "CA", true, Some(&identity["root"]).filter(|root| !root.is_null()));
    }
    for server in items(&certificates["servers"]) {
        let usable = server["usable"] == true;
        row(&mut table, text(server, "source"), "server", usable, items(&server["chain"]).next());
    }
    // What a listener names and nobody has delivered.
    let known: Vec<&str> = items(&certificates["servers"]).map(|server| text(server, "source")).collect();
    let named = dump.list("listeners").flat_map(|listener| items(&listener["tls"]));
    let named = named.flat_map(|chain| items(&chain["certificates"])).filter_map(Value::as_str);
    let missing: BTreeSet<&str> = named.filter(|source| !known.contains(source)).collect();
    for source in missing {
        row(&mut table, source, "server", false, None);
    }
    Shown { data: certificates.clone(), table }
}

fn row(table: &mut Table, name: &str, kind: &str, usable: bool, certificate: Option<&Value>) {
    let field = |name: &str| certificate.map(|it| text(it, name)).unwrap_or_default().to_owned();
    let status = if usable { "ACTIVE" } else { "NOT USABLE" };
    let mut names: Vec<&str> = Vec::new();
    if let Some(certificate) = certificate {
        names.extend(items(&certificate["names"]).chain(items(&certificate["uris"])).filter_map(Value::as_str));
    }
    let (serial, expires, begins) = (field("serial"), field("expires"), field("valid_from"));
    let names = if names.is_empty() { field("subject") } else { names.join(",") };
    table.row(vec![name.to_owned(), kind.to_owned(), status.to_owned(), names, serial, expires, begins]);
}
