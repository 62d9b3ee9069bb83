//! What one namespace may have of a proxy: beyond it the object is told, and what was there before keeps what it has.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::yaml::{Outcome, read};
use ir::{Bind, EndpointAddress, Resource};
use limits::Setting;
use serde_json::{Value, json};
use translate::{Change, Changes, ProxyScope, TranslationLimits, Translator, World};

fn object(kind: &str, namespace: &str, name: &str, year: usize, spec: Value) -> Change {
    let json = json!({
        "apiVersion": "networking.istio.io/v1", "kind": kind, "spec": spec,
        "metadata": { "name": name, "namespace": namespace, "creationTimestamp": format!("{year}-01-01T00:00:00Z") },
    });
    match read(&json.to_string()).remove(0).outcome {
        Outcome::Object(object) => Change::Upsert(Arc::new(object)),
        other => panic!("{other:?}"),
    }
}

fn world(settings: &[&str], objects: Vec<Change>) -> World {
    let mut settings: Vec<Setting> = settings.iter().map(|text| text.parse().unwrap()).collect();
    let limits = TranslationLimits::from_settings(&mut settings).unwrap();
    assert!(settings.is_empty(), "{settings:?}");
    World::bounded(limits).apply(objects).0
}

fn translated(world: &World) -> Translator {
    let mut translator = Translator::new(ProxyScope::default());
    translator.update(world, &Changes::default());
    translator
}

fn gateway(namespace: &str, year: usize, ports: std::ops::Range<u16>) -> Change {
    let server = |port: u16| json!({ "port": { "number": port, "name": format!("http-{port}"), "protocol": "HTTP" }, "hosts": ["*"] });
    let servers: Vec<Value> = ports.map(server).collect();
    object("Gateway", namespace, &format!("gate-{year}"), year, json!({ "servers": servers }))
}

fn ports(translator: &Translator) -> BTreeSet<u16> {
    let listeners = translator.resources().filter_map(|resource| match resource {
        Resource::Listener(listener) => Some(listener),
        _ => None,
    });
    listeners.map(|listener| if let Bind::Port(port) = listener.bind { port } else { panic!() }).collect()
}

fn told(translator: &Translator, limit: &str) -> BTreeSet<String> {
    let told = translator.reports().filter(|report| report.to_string().contains(limit));
    told.map(|report| report.object.to_string()).collect()
}

#[test]
fn ports_of_a_greedy_namespace_are_refused_and_older_gateways_keep_theirs() {
    // The youngest Gateway has the lowest ports, which are opened first.
    let objects = vec![
        gateway("prod", 2020, 8080..8082),
        gateway("evil", 2021, 7000..7002),
        gateway("evil", 2026, 2000..8000),
        gateway("late", 2027, 9000..9003),
    ];
    let translator = translated(&world(&["listeners-per-namespace=4", "listeners-per-proxy=7"], objects));
    assert_eq!(ports(&translator), BTreeSet::from([8080, 8081, 7000, 7001, 2000, 2001, 9000]));
    assert_eq!(told(&translator, "listeners-per-namespace"), BTreeSet::from(["Gateway evil/gate-2026".to_owned()]));
    assert_eq!(told(&translator, "listeners-per-proxy"), BTreeSet::from(["Gateway late/gate-2027".to_owned()]));
}

#[test]
fn the_namespace_of_the_proxy_has_the_bound_of_the_proxy_alone() {
    let objects = vec![gateway("istio-system", 2020, 8000..8010)];
    assert_eq!(ports(&translated(&world(&["listeners-per-namespace=4"], objects))).len(), 10);
}

fn dns(namespace: &str, year: usize, host: &str) -> [Change; 2] {
    let ports = json!([{ "number": 80, "name": "http", "protocol": "HTTP" }]);
    let entry = json!({ "hosts": [host], "ports": ports, "resolution": "DNS" });
    let routes = json!({
        "hosts": [format!("from-{host}")], "gateways": ["istio-system/gate-2020"],
        "http": [{ "route": [{ "destination": { "host": host } }] }],
    });
    [object("ServiceEntry", namespace, host, year, entry), object("VirtualService", namespace, host, year, routes)]
}

fn resolved(translator: &Translator) -> BTreeSet<String> {
    let endpoints = translator.resources().filter_map(|resource| match resource {
        Resource::Endpoints(endpoints) => Some(endpoints.endpoints),
        _ => None,
    });
    let names = endpoints.flatten().filter_map(|endpoint| match endpoint.address {
        EndpointAddress::Name { host, .. } => Some(host),
        _ => None,
    });
    names.collect()
}

#[test]
fn names_to_resolve_are_shared_out_by_age_and_given_back() {
    let mut objects = vec![gateway("istio-system", 2020, 80..81)];
    let young =
        [("evil", 2026, "a.test"), ("evil", 2024, "b.test"), ("evil", 2025, "c.test"), ("prod", 2023, "d.test")];
    objects.extend(young.iter().flat_map(|(namespace, year, host)| dns(namespace, *year, host)));
    let world = world(&["dns-names-per-namespace=2", "dns-names-per-proxy=3"], objects);
    let mut translator = translated(&world);
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(resolved(&translator), set(&["b.test", "c.test", "d.test"]));
    assert_eq!(told(&translator, "dns-names-per"), set(&["ServiceEntry evil/a.test"]));
    // One that goes makes room for the next; one that is older comes before it.
    let gone = crds::ObjectKey::new(crds::ObjectKind::VirtualService, "evil", "b.test");
    let (world, changes) = world.apply(vec![Change::Remove(gone)]);
    translator.update(&world, &changes);
    assert_eq!(resolved(&translator), set(&["a.test", "c.test", "d.test"]));
    assert_eq!(told(&translator, "dns-names-per"), set(&[]));
    let (world, changes) = world.apply(dns("old", 2019, "z.test").to_vec());
    translator.update(&world, &changes);
    assert_eq!(resolved(&translator), set(&["c.test", "d.test", "z.test"]));
    assert_eq!(resolved(&translated(&world)), resolved(&translator));
}

#[test]
fn subsets_that_each_select_all_endpoints_share_the_bound() {
    let ports = json!([{ "number": 80, "name": "http", "protocol": "HTTP" }]);
    let endpoints: Vec<Value> =
        (0..1_000).map(|i| json!({ "address": format!("10.0.{}.{}", i / 256, i % 256) })).collect();
    let subsets: Vec<Value> = (0..100).map(|i| json!({ "name": format!("v{i}") })).collect();
    let to: Vec<Value> = (0..100)
        .map(|i| json!({ "destination": { "host": "x.test", "subset": format!("v{i}") }, "weight": 1 }))
        .collect();
    let objects = vec![
        gateway("istio-system", 2020, 80..81),
        object(
            "ServiceEntry",
            "evil",
            "x",
            2020,
            json!({
                "hosts": ["x.test"], "ports": ports, "resolution": "STATIC", "endpoints": endpoints,
            }),
        ),
        object("DestinationRule", "evil", "x", 2020, json!({ "host": "x.test", "subsets": subsets })),
        object(
            "VirtualService",
            "evil",
            "x",
            2020,
            json!({
                "hosts": ["x.test"], "gateways": ["istio-system/gate-2020"], "http": [{ "route": to }],
            }),
        ),
    ];
    let translator = translated(&world(&["endpoints-per-service=12800"], objects));
    let count: usize = translator
        .resources()
        .map(|resource| if let Resource::Endpoints(endpoints) = resource { endpoints.endpoints.len() } else { 0 })
        .sum();
    // 100 clusters have shares as if they were 128.
    assert_eq!(count, 100 * 100);
    assert_eq!(told(&translator, "endpoints-per-service"), BTreeSet::from(["ServiceEntry evil/x".to_owned()]));
}

#[test]
fn gateways_and_hosts_beyond_the_bounds_are_left_out() {
    let gateways: Vec<String> = (0..10).map(|year| format!("gate-{}", 2000 + year)).collect();
    let mut objects: Vec<Change> =
        (0..10).map(|i| gateway("shop", 2000 + i, 8000 + i as u16..8001 + i as u16)).collect();
    objects.push(object(
        "VirtualService",
        "shop",
        "x",
        2020,
        json!({
            "hosts": ["a.test", "b.test", "c.test"], "gateways": gateways,
            "http": [{ "directResponse": { "status": 200 } }],
        }),
    ));
    let bound = |settings: &[&str]| {
        let translator = translated(&world(settings, objects.clone()));
        let hosts: usize = translator
            .resources()
            .map(|resource| match resource {
                Resource::RouteGroup(group) => group.bindings.iter().map(|binding| binding.hosts.len()).sum(),
                _ => 0,
            })
            .sum();
        (hosts, told(&translator, "-per-virtual-service").len())
    };
    assert_eq!(bound(&[]), (30, 0));
    assert_eq!(bound(&["gateways-per-virtual-service=4"]), (12, 1));
    assert_eq!(bound(&["hosts-per-virtual-service=7"]), (7, 1));
}
