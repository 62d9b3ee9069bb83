//! What the proxy knows, for people. No key material ever.

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::app::Gateway;
use crate::table::{Action, Chain, Listener, Route, Table, TableId};
use crate::upstream::Cluster;

/// Versions of all resources, listeners and virtual hosts with their routes.
pub(super) async fn config(gateway: &Gateway) -> Value {
    let table = gateway.table();
    let mut versions: Vec<_> = gateway.versions().await;
    versions.sort();
    let resources: Vec<Value> = versions
        .iter()
        .map(|(key, version)| json!({ "kind": key.kind.to_string(), "name": &*key.name, "version": &**version }))
        .collect();
    let mut listeners: Vec<_> = table.listeners().collect();
    listeners.sort_by(|a, b| a.name.cmp(&b.name));
    let bound = gateway.listeners().await;
    let listeners: Vec<Value> =
        listeners.iter().map(|listener| listener_value(listener, bound.get(&listener.name))).collect();
    let mut clusters: Vec<_> = table.clusters().collect();
    clusters.sort_by(|a, b| a.name().cmp(b.name()));
    let clusters: Vec<Value> = clusters.into_iter().map(|cluster| cluster_value(cluster)).collect();
    json!({
        "generation": table.generation(),
        "settings": serde_json::to_value(&**table.settings()).unwrap_or(Value::Null),
        "resources": resources,
        "listeners": listeners,
        "route_tables": route_tables(&table),
        "clusters": clusters,
    })
}

fn listener_value(listener: &Listener, bound: Option<&SocketAddr>) -> Value {
    let mut tls: Vec<(&str, Value)> = listener
        .tls
        .iter()
        .map(|(host, chain)| {
            let certificates: Vec<String> = chain.certificates.iter().map(source).collect();
            let mut shown = chain_value(&chain.chain);
            shown["sni"] = json!(host.as_str());
            shown["usable"] = json!(chain.has_certificate());
            shown["certificates"] = json!(certificates);
            (host.as_str(), shown)
        })
        .collect();
    tls.sort_by(|a, b| a.0.cmp(b.0));
    let tls: Vec<Value> = tls.into_iter().map(|(_, shown)| shown).collect();
    json!({
        "name": listener.name.as_str(),
        "bind": listener.bind,
        // Absent while the port is taken.
        "bound": bound.map(ToString::to_string),
        "plaintext": listener.plaintext.as_ref().map(chain_value),
        "tls": tls,
    })
}

fn chain_value(chain: &Chain) -> Value {
    match chain {
        Chain::Http { table, name } => json!({ "protocol": "http", "table": table.0, "route": name.as_str() }),
        Chain::Tcp { .. } => json!({ "protocol": "tcp", "table": null }),
    }
}

/// How a certificate's place is written.
pub(super) fn source(source: &ir::CertificateSource) -> String {
    match source {
        ir::CertificateSource::Secret(name) => name.to_string(),
        ir::CertificateSource::Files { certificate, private_key: _ } => certificate.display().to_string(),
    }
}

fn route_tables(table: &Table) -> Vec<Value> {
    table
        .route_tables()
        .map(|(id, hosts)| {
            let mut hosts: Vec<_> = hosts.iter().collect();
            hosts.sort_by(|a, b| a.0.cmp(b.0));
            let hosts: Vec<Value> = hosts
                .into_iter()
                .map(|(name, host)| {
                    let routes: Vec<Value> =
                        host.router.rules().map(|(matcher, route)| route_value(&matcher.to_string(), route)).collect();
                    json!({ "host": name.as_str(), "https_redirect": host.https_redirect, "routes": routes })
                })
                .collect();
            json!({ "table": id.0, "name": name_of(table, id), "virtual_hosts": hosts })
        })
        .collect()
}

/// Tables are named by the listeners that use them.
fn name_of(table: &Table, wanted: TableId) -> Option<&str> {
    table.listeners().find_map(|listener| {
        let chains = listener.plaintext.iter().chain(listener.tls.iter().map(|(_, tls)| &tls.chain));
        chains.into_iter().find_map(|chain| match chain {
            Chain::Http { table, name } if *table == wanted => Some(name.as_str()),
            Chain::Http { .. } | Chain::Tcp { .. } => None,
        })
    })
}

fn route_value(matches: &str, route: &Route) -> Value {
    let mut shown = json!({ "name": &*route.name, "object": &*route.group, "match": matches });
    match route.action() {
        Action::Redirect(_) => shown["action"] = json!("redirect"),
        Action::DirectResponse(_) => shown["action"] = json!("direct response"),
        Action::Forward(forward) => {
            let destinations: Vec<Value> = forward
                .destinations()
                .iter()
                .map(|it| json!({ "cluster": it.cluster_name.as_str(), "weight": it.weight }))
                .collect();
            shown["action"] = json!("forward");
            shown["destinations"] = json!(destinations);
        }
    }
    shown
}

/// An endpoint that is listed is one that gets requests.
fn cluster_value(cluster: &Cluster) -> Value {
    let endpoints: Vec<Value> = cluster
        .endpoints()
        .iter()
        .map(|endpoint| {
            json!({
                "address": endpoint.address(), "weight": endpoint.weight(), "health": "HEALTHY",
                "active": endpoint.active(),
            })
        })
        .collect();
    let refused: Vec<Value> = cluster
        .refused()
        .iter()
        .map(|(address, reason)| json!({ "address": address.to_string(), "reason": reason.to_string() }))
        .collect();
    let mut shown = json!({ "config": **cluster.config(), "endpoints": endpoints });
    if !refused.is_empty() {
        shown["refused"] = json!(refused);
    }
    shown
}

/// One line per endpoint.
pub(super) fn clusters(table: &Table) -> String {
    let mut out = String::new();
    let mut clusters: Vec<_> = table.clusters().collect();
    clusters.sort_by(|a, b| a.name().cmp(b.name()));
    for cluster in clusters {
        if cluster.endpoints().is_empty() {
            let _ = writeln!(out, "{}::no endpoints", cluster.name());
        }
        for (address, reason) in cluster.refused() {
            let _ = writeln!(out, "{}::{address}::refused::{reason}", cluster.name());
        }
        for endpoint in cluster.endpoints() {
            let _ = writeln!(
                out,
                "{}::{}::weight::{}::rq_active::{}",
                cluster.name(),
                endpoint.address(),
                endpoint.weight(),
                endpoint.active()
            );
        }
    }
    out
}

/// One line per bound socket.
pub(super) async fn listeners(gateway: &Gateway) -> String {
    let mut out = String::new();
    for (name, address) in gateway.listeners().await {
        let _ = writeln!(out, "{name}::{address}");
    }
    out
}
