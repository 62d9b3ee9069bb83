//! What a gateway is told, in lines for people: one for each thing that can change by itself. No key material.

use ir::{
    Bind, CertificateSource, Chain, Cluster, Discovery, EndpointAddress, Endpoints, Forward, HeaderMatch, Key, Kind,
    Listener, PathMatch, PathRewrite, QueryMatch, Resource, Route, RouteAction, RouteGroup, RouteMatch, StringMatch,
    ValueMatch,
};

pub(super) fn title(key: &Key) -> String {
    let name = &key.name;
    match key.kind {
        Kind::Settings => "settings".to_owned(),
        Kind::Listener => format!("listener {name}"),
        Kind::Secret => format!("certificate {name}"),
        Kind::RouteTable => format!("route table {name}"),
        Kind::RouteGroup => format!("routes of {name}"),
        Kind::Cluster => format!("cluster {name}"),
        Kind::Endpoints => format!("endpoints of {name}"),
    }
}

pub(super) fn lines(resource: &Resource) -> Vec<String> {
    match resource {
        Resource::Settings(settings) => fields(settings),
        Resource::Listener(it) => listener(it),
        // A certificate that is replaced says no more here: it shows in its title.
        Resource::Secret(_) => Vec::new(),
        Resource::RouteTable(table) => {
            table.https_redirect.iter().map(|host| format!("plain HTTP for {host} is redirected to https")).collect()
        }
        Resource::RouteGroup(group) => routes(group),
        Resource::Cluster(it) => cluster(it),
        Resource::Endpoints(it) => endpoints(it),
    }
}

fn fields(value: &impl serde::Serialize) -> Vec<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::Object(fields)) => {
            fields.iter().map(|(name, value)| format!("{name}: {value}")).collect()
        }
        Ok(other) => vec![other.to_string()],
        Err(_) => Vec::new(),
    }
}

fn listener(listener: &Listener) -> Vec<String> {
    let Listener { name: _, bind, created: _, plaintext, tls } = listener;
    let bind = match bind {
        Bind::Port(port) => format!("port {port}"),
        Bind::Address(address) => address.to_string(),
        Bind::Unix(path) => path.display().to_string(),
    };
    let mut lines = vec![format!("listens on {bind}")];
    lines.extend(plaintext.iter().map(|chain| format!("plaintext → {}", target(chain))));
    for chain in tls {
        let names: Vec<&str> = chain.sni.iter().map(ir::Host::as_str).collect();
        let names = if names.is_empty() { "any name".to_owned() } else { names.join(", ") };
        let certificates: Vec<String> = chain
            .tls
            .certificates
            .iter()
            .map(|source| match source {
                CertificateSource::Secret(name) => name.to_string(),
                CertificateSource::Files { certificate, private_key: _ } => certificate.display().to_string(),
            })
            .collect();
        lines.push(format!("TLS for {names} with {} → {}", certificates.join(", "), target(&chain.chain)));
    }
    lines
}

fn target(chain: &Chain) -> String {
    match chain {
        Chain::Http { table } => format!("routes {table}"),
        Chain::Tcp(tcp) => shares(tcp.destinations.iter().map(|(cluster, weight)| (cluster, *weight))),
    }
}

fn shares<'a>(all: impl Iterator<Item = (&'a ir::ClusterName, u32)>) -> String {
    let all: Vec<_> = all.collect();
    let total: u64 = all.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let share = |weight: u32| f64::from(weight) * 100.0 / total.max(1) as f64;
    match all.as_slice() {
        [(cluster, _)] => cluster.to_string(),
        all => {
            let shown = all.iter().map(|(cluster, weight)| format!("{:.0} % {cluster}", share(*weight)));
            shown.collect::<Vec<_>>().join(", ")
        }
    }
}

fn routes(group: &RouteGroup) -> Vec<String> {
    let mut lines = Vec::new();
    for binding in &group.bindings {
        let hosts: Vec<&str> = binding.hosts.iter().map(ir::Host::as_str).collect();
        let place = format!("{} {}", binding.table, hosts.join(","));
        if binding.https_redirect {
            lines.push(format!("{place}: plain HTTP is redirected to https"));
        }
        for route in group.route_lists.get(binding.routes).into_iter().flatten() {
            lines.push(format!("{place}: {}", self::route(route)));
        }
    }
    lines
}

fn route(route: &Route) -> String {
    let Route { name, matches, catch_all: _, plaintext: _, action } = route;
    let name = if name.is_empty() { String::new() } else { format!("[{name}] ") };
    format!("{name}{} → {}", condition(matches), self::action(action))
}

fn condition(matches: &RouteMatch) -> String {
    let RouteMatch { path, headers, query } = matches;
    let mut parts = Vec::new();
    match path {
        None => {}
        Some(PathMatch::Exact { value, .. }) => parts.push(value.clone()),
        Some(PathMatch::Prefix { value, .. }) => parts.push(format!("{value}*")),
        Some(PathMatch::Regex { pattern }) => parts.push(format!("~{pattern}")),
    }
    for HeaderMatch { name, condition, invert } in headers {
        let not = if *invert { "not " } else { "" };
        parts.push(format!("{not}header {name}{}", value(condition)));
    }
    for QueryMatch { name, condition } in query {
        parts.push(format!("query {name}{}", value(condition)));
    }
    if parts.is_empty() { "everything".to_owned() } else { parts.join(" ") }
}

fn value(condition: &ValueMatch) -> String {
    match condition {
        ValueMatch::Present => String::new(),
        ValueMatch::Value(StringMatch::Exact(text)) => format!("={text}"),
        ValueMatch::Value(StringMatch::Prefix(text)) => format!("={text}*"),
        ValueMatch::Value(StringMatch::Regex(pattern)) => format!("~{pattern}"),
    }
}

fn action(action: &RouteAction) -> String {
    match action {
        RouteAction::Forward(it) => forward(it),
        RouteAction::Redirect(redirect) => format!("redirect {}", fields(redirect).join(", ")),
        RouteAction::DirectResponse(response) => format!("answer {}", fields(response).join(", ")),
    }
}

fn forward(forward: &Forward) -> String {
    let Forward { destinations, path_rewrite, authority, timeout, retry, fault, cors } = forward;
    let mut text = shares(destinations.iter().map(|it| (&it.cluster, it.weight)));
    match path_rewrite {
        None => {}
        Some(PathRewrite::Prefix { replacement, .. } | PathRewrite::Full { replacement }) => {
            text.push_str(&format!(", path {replacement}"));
        }
        Some(PathRewrite::Regex { pattern, substitution }) => {
            text.push_str(&format!(", path ~{pattern} → {substitution}"));
        }
    }
    if let Some(authority) = authority {
        text.push_str(&format!(", host {authority}"));
    }
    if let Some(timeout) = timeout {
        text.push_str(&format!(", timeout {timeout:?}"));
    }
    if let Some(retry) = retry {
        text.push_str(&format!(", {}", retries(retry)));
    }
    if fault.is_some() || cors.is_some() {
        for part in [fault.as_ref().map(fields), cors.as_ref().map(fields)].into_iter().flatten() {
            text.push_str(&format!(", {}", part.join(", ")));
        }
    }
    for destination in destinations.iter().filter(|it| it.authority.is_some() || !it.edits.is_empty()) {
        let ir::Destination { cluster: _, weight: _, edits, authority, tell_original_host: _ } = destination;
        text.push_str(&format!(", {}", fields(edits).join(", ")));
        text.extend(authority.iter().map(|authority| format!(", host {authority}")));
    }
    text
}

fn retries(retry: &ir::RetryPolicy) -> String {
    let count = if retry.attempts == 1 { "1 retry".to_owned() } else { format!("{} retries", retry.attempts) };
    match retry.per_try_timeout {
        Some(timeout) => format!("{count} of {timeout:?} each"),
        None => count,
    }
}

fn cluster(cluster: &Cluster) -> Vec<String> {
    let Cluster { name: _, service, discovery, protocol, balancing, connect_timeout, idle_timeout } = cluster;
    let discovery = match discovery {
        Discovery::Listed => "its endpoints are listed".to_owned(),
        Discovery::Dns { refresh, first_only: _ } => format!("its endpoints are resolved by DNS every {refresh:?}"),
    };
    let protocol = match protocol {
        ir::UpstreamProtocol::Http1 => "HTTP/1.1",
        ir::UpstreamProtocol::Http2 => "HTTP/2",
        ir::UpstreamProtocol::SameAsDownstream => "what the client speaks",
    };
    let balancing = match balancing {
        ir::Balancing::LeastRequest => "the less busy of two",
        ir::Balancing::RoundRobin => "round robin",
        ir::Balancing::Random => "random",
    };
    let idle = idle_timeout.map_or("for ever".to_owned(), |idle| format!("{idle:?}"));
    vec![
        format!("service {}", service.host),
        discovery,
        format!("speaks {protocol}"),
        format!("balances {balancing}"),
        format!("connects within {connect_timeout:?}, keeps idle connections {idle}"),
    ]
}

fn endpoints(endpoints: &Endpoints) -> Vec<String> {
    let Endpoints { cluster: _, endpoints } = endpoints;
    let line = |endpoint: &ir::Endpoint| {
        let address = match &endpoint.address {
            EndpointAddress::Socket(address) => address.to_string(),
            EndpointAddress::Name { host, port } => format!("{host}:{port}"),
            EndpointAddress::Unix(path) => path.display().to_string(),
        };
        if endpoint.weight == 1 { address } else { format!("{address} weight {}", endpoint.weight) }
    };
    endpoints.iter().map(line).collect()
}
