//! With very many objects an edit costs what it changes, not what there is.

use std::sync::Arc;

use crds::yaml::{Outcome, read};
use crds::{Object, ObjectKey, ObjectKind};
use serde_json::{Value, json};
use translate::{Change, Changes, ProxyScope, Translator, World};

const MANY: usize = 10_000;

fn object(json: Value) -> Change {
    match read(&json.to_string()).remove(0).outcome {
        Outcome::Object(object) => Change::Upsert(Arc::new(object)),
        other => panic!("{other:?}"),
    }
}

fn virtual_service(number: usize, weight: u32) -> Change {
    let to =
        |subset: &str, weight: u32| json!({ "destination": { "host": "reviews", "subset": subset }, "weight": weight });
    object(json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": { "name": format!("web-{number}"), "namespace": "shop" },
        "spec": {
            "hosts": [format!("shop-{number}.test")], "gateways": ["edge/gate"],
            "http": [{ "route": [to("v1", 100 - weight), to("v2", weight)] }],
        },
    }))
}

fn gateway(hosts: &[&str]) -> Change {
    object(json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": { "name": "gate", "namespace": "edge" },
        "spec": { "servers": [{ "port": { "number": 80, "name": "http", "protocol": "HTTP" }, "hosts": hosts }] },
    }))
}

fn slice(address: &str) -> Change {
    object(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": { "name": "reviews-1", "namespace": "shop", "labels": { "kubernetes.io/service-name": "reviews" } },
        "addressType": "IPv4", "endpoints": [{ "addresses": [address] }], "ports": [{ "name": "http", "port": 80 }],
    }))
}

struct Follower {
    world: World,
    translator: Translator,
}

impl Follower {
    fn new() -> Self {
        let rest = [
            gateway(&["*"]),
            slice("10.0.0.1"),
            object(json!({
                "apiVersion": "v1", "kind": "Service", "metadata": { "name": "reviews", "namespace": "shop" },
                "spec": { "ports": [{ "name": "http", "port": 80 }] },
            })),
            object(json!({
                "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
                "metadata": { "name": "reviews", "namespace": "shop" },
                "spec": { "host": "reviews", "subsets": [{ "name": "v1" }, { "name": "v2" }] },
            })),
        ];
        let many = (0..MANY).map(|number| virtual_service(number, 10));
        let (world, _) = World::default().apply(rest.into_iter().chain(many).collect());
        let mut translator = Translator::new(ProxyScope::default());
        translator.update(&world, &Changes::default());
        Self { world, translator }
    }

    /// How many units ran, and how many resources the proxy hears of.
    fn edit(&mut self, change: Change) -> (usize, usize) {
        let (world, changes) = self.world.apply(vec![change]);
        self.world = world;
        let update = self.translator.update(&self.world, &changes);
        (update.units_run, update.changed.len() + update.removed.len())
    }
}

#[test]
fn an_edit_among_ten_thousand_runs_what_it_touches() {
    let mut follower = Follower::new();
    assert_eq!(follower.translator.resources().count(), MANY + 7);
    assert_eq!(follower.edit(virtual_service(77, 50)), (1, 1));
    // Saving the same again is no edit.
    assert_eq!(follower.edit(virtual_service(77, 50)), (0, 0));
    assert_eq!(follower.edit(virtual_service(MANY, 50)), (1, 1));
    assert_eq!(follower.edit(Change::Remove(ObjectKey::new(ObjectKind::VirtualService, "shop", "web-77"))), (1, 1));
    // Both subsets have these endpoints; nothing else looked at the slice.
    assert_eq!(follower.edit(slice("10.0.0.2")), (2, 2));
    // An unknown label of the object is nothing that a server shows.
    let Change::Upsert(gateway) = gateway(&["*"]) else { panic!() };
    let mut labelled = Object::clone(&gateway);
    labelled.meta.labels.insert("team".to_owned(), "edge".to_owned());
    assert_eq!(follower.edit(Change::Upsert(Arc::new(labelled))), (1, 0));
}

fn ingress(number: usize, path: &str, secret: &str) -> Change {
    let host = format!("shop-{number}.test");
    let backend = json!({ "service": { "name": "reviews", "port": { "name": "http" } } });
    object(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": { "name": format!("web-{number}"), "namespace": "shop" },
        "spec": {
            "ingressClassName": "istio", "tls": [{ "hosts": [host], "secretName": secret }],
            "rules": [{ "host": host, "http": { "paths": [{ "path": path, "pathType": "Prefix", "backend": backend }] } }],
        },
    }))
}

#[test]
fn an_edit_of_an_ingress_among_many_runs_its_host() {
    const MANY: usize = 1_000;
    let service = object(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "reviews", "namespace": "shop" },
        "spec": { "ports": [{ "name": "http", "port": 80 }] },
    }));
    let many = (0..MANY).map(|number| ingress(number, "/", "one"));
    let (world, _) = World::default().apply([service].into_iter().chain(many).collect());
    let mut translator = Translator::new(ProxyScope::default());
    translator.update(&world, &Changes::default());
    let mut follower = Follower { world, translator };
    // For each a route group and the table of its TLS server; a table and a listener for each port, a cluster with its
    // endpoints, and the settings.
    assert_eq!(follower.translator.resources().count(), 2 * MANY + 6);
    // The host, and a default backend that it does not have.
    assert_eq!(follower.edit(ingress(77, "/a", "one")), (2, 1));
    // Another certificate is another listener.
    assert_eq!(follower.edit(ingress(77, "/a", "two")), (5, 1));
}
