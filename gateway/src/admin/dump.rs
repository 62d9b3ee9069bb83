//! What the proxy knows, for people. No key material ever.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::app::Gateway;
use crate::table::{Action, Table};

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
    let listeners: Vec<Value> = listeners
        .iter()
        .map(|listener| {
            let tls: Vec<Value> = listener
                .tls
                .iter()
                .map(|(host, chain)| {
                    json!({ "sni": host.as_str(), "usable": chain.has_certificate(), "table": chain.chain.table().map(|id| id.0) })
                })
                .collect();
            let plaintext = listener.plaintext.as_ref().map(|chain| json!({ "table": chain.table().map(|id| id.0) }));
            json!({ "name": listener.name.as_str(), "tls": tls, "plaintext": plaintext })
        })
        .collect();
    json!({
        "generation": table.generation(),
        "settings": serde_json::to_value(&**table.settings()).unwrap_or(Value::Null),
        "resources": resources,
        "listeners": listeners,
        "route_tables": route_tables(&table),
    })
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
                        host.router.rules().map(|(_, route)| route_value(&route.name, route.action())).collect();
                    json!({ "host": name.as_str(), "https_redirect": host.https_redirect, "routes": routes })
                })
                .collect();
            json!({ "table": id.0, "virtual_hosts": hosts })
        })
        .collect()
}

fn route_value(name: &str, action: &Action) -> Value {
    match action {
        Action::Redirect(_) => json!({ "name": name, "action": "redirect" }),
        Action::DirectResponse(_) => json!({ "name": name, "action": "direct response" }),
        Action::Forward(forward) => {
            let destinations: Vec<Value> = forward
                .destinations()
                .iter()
                .map(|it| json!({ "cluster": it.cluster_name.as_str(), "weight": it.weight }))
                .collect();
            json!({ "name": name, "action": "forward", "destinations": destinations })
        }
    }
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
