//! What an object costs grows no faster than the object: adversarial objects of one size and of twice the size, with the
//! steps that validating and translating them take. Counts, not times: the same on every machine.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use crds::yaml::{Outcome, read};
use serde_json::{Value, json};
use translate::{Change, Changes, ProxyScope, Translator, World, steps, validate};

/// Sizes grow twofold, steps at most this much: n log n is allowed for, n² is four.
const GROWTH: f64 = 2.3;

fn object(json: Value) -> Change {
    match read(&json.to_string()).remove(0).outcome {
        Outcome::Object(object) => Change::Upsert(Arc::new(object)),
        other => panic!("{other:?}"),
    }
}

fn istio(kind: &str, name: &str, spec: Value) -> Change {
    object(json!({
        "apiVersion": "networking.istio.io/v1", "kind": kind,
        "metadata": { "name": name, "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z" }, "spec": spec,
    }))
}

fn gateway(name: &str, servers: Value) -> Change {
    istio("Gateway", name, json!({ "servers": servers }))
}

fn http(hosts: Value) -> Value {
    json!({ "port": { "number": 80, "name": "http", "protocol": "HTTP" }, "hosts": hosts })
}

fn open_gateway() -> Change {
    gateway("gate", json!([http(json!(["*"]))]))
}

fn service() -> Change {
    object(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "ports": [{ "name": "http", "port": 80 }] },
    }))
}

fn to(host: &str) -> Value {
    json!([{ "destination": { "host": host } }])
}

fn routes(name: &str, hosts: Value, gateways: Value, http: Value) -> Change {
    istio("VirtualService", name, json!({ "hosts": hosts, "gateways": gateways, "http": http }))
}

fn many<T>(n: usize, make: impl Fn(usize) -> T) -> Vec<T> {
    (0..n).map(make).collect()
}

fn name(kind: &str, number: usize) -> String {
    format!("{kind}-{number}.test")
}

fn ingress(rules: Vec<Value>) -> Change {
    object(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "ingressClassName": "istio", "rules": rules },
    }))
}

fn paths(paths: Vec<Value>) -> Value {
    json!({ "paths": paths })
}

fn path(path: &str) -> Value {
    json!({ "path": path, "pathType": "Exact", "backend": { "service": { "name": "web", "port": { "number": 80 } } } })
}

/// A case: its name, its size, most steps by unit of size, and its objects.
type Case = (&'static str, usize, u64, fn(usize) -> Vec<Change>);

const CASES: &[Case] = &[
    ("matches of one rule", 5_000, 40, |n| {
        let matches = many(n, |i| json!({ "uri": { "exact": format!("/{i}") } }));
        let rules = json!([{ "match": matches, "route": to("web") }]);
        vec![open_gateway(), service(), routes("web", json!(["a.test"]), json!(["gate"]), rules)]
    }),
    ("rules of one prefix", 2_500, 140, |n| {
        let rules = many(
            n,
            |i| json!({ "match": [{ "uri": { "prefix": "/a" }, "headers": { "x": { "exact": i.to_string() } } }], "route": to("web") }),
        );
        vec![open_gateway(), service(), routes("web", json!(["a.test"]), json!(["gate"]), json!(rules))]
    }),
    ("rules without path", 3_000, 140, |n| {
        let rules =
            many(n, |i| json!({ "match": [{ "headers": { "x": { "exact": i.to_string() } } }], "route": to("web") }));
        vec![open_gateway(), service(), routes("web", json!(["a.test"]), json!(["gate"]), json!(rules))]
    }),
    ("one long path behind short ones", 500, 140, |n| {
        let mut rules = many(n, |i| {
            let prefix = format!("/{}", "a".repeat(i));
            json!({ "match": [{ "uri": { "prefix": prefix }, "headers": { "x": { "exact": "1" } } }], "route": to("web") })
        });
        rules.push(
            json!({ "match": [{ "uri": { "exact": format!("/{}", "a".repeat(100 * n)) } }], "route": to("web") }),
        );
        vec![open_gateway(), service(), routes("web", json!(["a.test"]), json!(["gate"]), json!(rules))]
    }),
    ("conditions of one match", 5_000, 40, |n| {
        let headers: Value =
            (0..n).map(|i| (format!("x-{i}"), json!({ "exact": "1" }))).collect::<serde_json::Map<_, _>>().into();
        let rules = json!([{ "match": [{ "headers": headers, "withoutHeaders": headers }], "route": to("web") }]);
        vec![open_gateway(), service(), routes("web", json!(["a.test"]), json!(["gate"]), rules)]
    }),
    ("hosts of a VirtualService and of a server", 10_000, 120, |n| {
        let hosts = json!(many(n, |i| name("web", i)));
        let rules = json!([{ "route": to("web") }]);
        vec![gateway("gate", json!([http(hosts.clone())])), service(), routes("web", hosts, json!(["gate"]), rules)]
    }),
    ("wildcards of a server below one of a VirtualService", 10_000, 120, |n| {
        let hosts = json!(many(n, |i| format!("*.web-{i}.test")));
        let rules = json!([{ "route": to("web") }]);
        vec![gateway("gate", json!([http(hosts)])), service(), routes("web", json!(["*.test"]), json!(["gate"]), rules)]
    }),
    ("names of a TLS server", 10_000, 60, |n| {
        let server = json!({
            "port": { "number": 443, "name": "https", "protocol": "HTTPS" }, "hosts": many(n, |i| name("web", i)),
            "tls": { "mode": "SIMPLE", "credentialName": "one" },
        });
        vec![gateway("gate", json!([server]))]
    }),
    ("servers of a Gateway", 2_500, 60, |n| {
        let servers = many(n, |i| {
            json!({
                "port": { "number": 443, "name": format!("https-{i}"), "protocol": "HTTPS" }, "hosts": [name("web", i)],
                "tls": { "mode": "SIMPLE", "credentialName": "one" },
            })
        });
        vec![
            gateway("gate", json!(servers)),
            routes("web", json!(["*"]), json!(["gate"]), json!([{ "route": to("web") }])),
        ]
    }),
    ("servers on a port for every host, and a VirtualService of many", 500, 900, |n| {
        let servers = many(
            n,
            |i| json!({ "port": { "number": 80, "name": format!("http-{i}"), "protocol": "HTTP" }, "hosts": ["*"] }),
        );
        let rules = json!([{ "route": to("web") }]);
        vec![
            gateway("gate", json!(servers)),
            service(),
            routes("web", json!(many(100, |i| name("web", i))), json!(["gate"]), rules),
        ]
    }),
    ("ports of a Gateway", 5_000, 40, |n| {
        let servers = many(
            n,
            |i| json!({ "port": { "number": 1024 + i, "name": format!("http-{i}"), "protocol": "HTTP" }, "hosts": ["*"] }),
        );
        vec![gateway("gate", json!(servers))]
    }),
    ("gateways of a VirtualService, and rules", 1_000, 200, |n| {
        let gateways = many(100, |i| format!("gate-{i}"));
        let rules =
            json!(many(n, |i| json!({ "match": [{ "uri": { "exact": format!("/{i}") } }], "route": to("web") })));
        let mut objects: Vec<Change> = gateways.iter().map(|name| gateway(name, json!([http(json!(["*"]))]))).collect();
        objects.extend([service(), routes("web", json!(["a.test"]), json!(gateways), rules)]);
        objects
    }),
    ("destinations of a rule of many matches", 200, 60, |n| {
        let matches = many(n, |i| json!({ "uri": { "exact": format!("/{i}") } }));
        let destinations =
            many(n, |i| json!({ "destination": { "host": "web", "port": { "number": 1 + i } }, "weight": 1 }));
        let rules = json!([{ "match": matches, "route": destinations }]);
        vec![open_gateway(), service(), routes("web", json!(["a.test"]), json!(["gate"]), rules)]
    }),
    ("subsets that are each routed to", 2_000, 80, |n| {
        let subsets = many(n, |i| json!({ "name": format!("v{i}"), "labels": { "v": i.to_string() } }));
        let rules = many(n, |i| {
            let to = json!([{ "destination": { "host": "web", "subset": format!("v{i}") } }]);
            json!({ "match": [{ "uri": { "exact": format!("/{i}") } }], "route": to })
        });
        vec![
            open_gateway(),
            service(),
            istio("DestinationRule", "web", json!({ "host": "web", "subsets": subsets })),
            routes("web", json!(["a.test"]), json!(["gate"]), json!(rules)),
        ]
    }),
    ("two DestinationRules with the same subsets, each routed to", 1_000, 120, |n| {
        let subsets = many(n, |i| json!({ "name": format!("v{i}"), "labels": { "v": i.to_string() } }));
        let rules = many(n, |i| {
            let to = json!([{ "destination": { "host": "web", "subset": format!("v{i}") } }]);
            json!({ "match": [{ "uri": { "exact": format!("/{i}") } }], "route": to })
        });
        let rule = |name: &str| istio("DestinationRule", name, json!({ "host": "web", "subsets": subsets.clone() }));
        vec![
            open_gateway(),
            service(),
            rule("one"),
            rule("two"),
            routes("web", json!(["a.test"]), json!(["gate"]), json!(rules)),
        ]
    }),
    ("hosts of an Ingress", 2_500, 120, |n| {
        vec![service(), ingress(many(n, |i| json!({ "host": name("web", i), "http": paths(vec![path("/")]) })))]
    }),
    ("paths of an Ingress", 3_000, 60, |n| {
        vec![service(), ingress(vec![json!({ "host": "a.test", "http": paths(many(n, |i| path(&format!("/{i}")))) })])]
    }),
    ("endpoints of a ServiceEntry", 5_000, 40, |n| {
        let endpoints = many(n, |i| json!({ "address": format!("10.{}.{}.{}", i / 65536, i / 256 % 256, i % 256) }));
        let entry = json!({
            "hosts": ["web.test"], "ports": [{ "number": 80, "name": "http", "protocol": "HTTP" }], "resolution": "STATIC",
            "endpoints": endpoints,
        });
        vec![
            open_gateway(),
            istio("ServiceEntry", "web", entry),
            routes("web", json!(["a.test"]), json!(["gate"]), json!([{ "route": to("web.test") }])),
        ]
    }),
    ("names that ServiceEntries resolve", 1_000, 80, |n| {
        let rules =
            many(n, |i| json!({ "match": [{ "uri": { "exact": format!("/{i}") } }], "route": to(&name("web", i)) }));
        let mut objects = many(n, |i| {
            let ports = json!([{ "number": 80, "name": "http", "protocol": "HTTP" }]);
            istio(
                "ServiceEntry",
                &format!("web-{i}"),
                json!({ "hosts": [name("web", i)], "ports": ports, "resolution": "DNS" }),
            )
        });
        objects.extend([open_gateway(), routes("web", json!(["a.test"]), json!(["gate"]), json!(rules))]);
        objects
    }),
    ("namespaces that an object is exported to", 2_000, 80, |n| {
        let export = many(n, |i| format!("ns-{i}")).into_iter().chain(["istio-system".to_owned()]).collect::<Vec<_>>();
        let subsets = many(n, |i| json!({ "name": format!("v{i}") }));
        let rules = many(n, |i| {
            let to = json!([{ "destination": { "host": "web", "subset": format!("v{i}") } }]);
            json!({ "match": [{ "uri": { "exact": format!("/{i}") } }], "route": to })
        });
        vec![
            open_gateway(),
            service(),
            istio("DestinationRule", "web", json!({ "host": "web", "exportTo": export, "subsets": subsets })),
            routes("web", json!(["a.test"]), json!(["gate"]), json!(rules)),
        ]
    }),
];

/// Steps of checking and translating these objects, under both tenancies together.
fn cost(objects: Vec<Change>) -> u64 {
    let before = steps::taken();
    for change in &objects {
        if let Change::Upsert(object) = change {
            let _ = validate(object);
        }
    }
    for mesh in ["", "tenancy: strict"] {
        let settings = object(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "istio", "namespace": "istio-system" },
            "data": { "mesh": mesh },
        }));
        let (world, _) = World::default().apply(objects.iter().cloned().chain([settings]).collect());
        let mut translator = Translator::new(ProxyScope::default());
        translator.update(&world, &Changes::default());
    }
    steps::taken() - before
}

#[test]
fn work_grows_no_faster_than_objects() {
    let mut wrong = Vec::new();
    for (case, size, each, objects) in CASES {
        let (small, large) = (cost(objects(*size)), cost(objects(2 * size)));
        println!("{case}: {size} {small} {large} ({:.1} each)", large as f64 / (2 * size) as f64);
        if large as f64 > GROWTH * small as f64 {
            wrong.push(format!("{case}: {small} steps for {size}, {large} for twice as many"));
        }
        if large > each * 2 * *size as u64 {
            wrong.push(format!("{case}: {large} steps for {}, more than {each} for each", 2 * size));
        }
        // Whatever is not counted is not bounded.
        if small < *size as u64 / 2 {
            wrong.push(format!("{case}: only {small} steps counted for {size}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Delegates multiply: what they come to is bounded whatever they are.
#[test]
fn delegates_stop_at_the_bound() {
    let delegate = |n: usize| {
        let matches = many(n, |i| json!({ "headers": { format!("x-{i}"): { "exact": "1" } } }));
        istio("VirtualService", "leaf", json!({ "http": [{ "match": matches, "route": to("web") }] }))
    };
    let root = |n: usize, rules: usize| {
        let matches = many(n, |i| json!({ "uri": { "prefix": format!("/{i}") } }));
        let rule = json!({ "match": matches, "delegate": { "name": "leaf" } });
        let last = json!({ "route": to("web") });
        routes(
            "web",
            json!(["a.test"]),
            json!(["gate"]),
            json!(many(rules, |_| rule.clone()).into_iter().chain([last]).collect::<Vec<_>>()),
        )
    };
    for (root, leaf) in
        [(root(2_000, 1), delegate(2_000)), (root(4_000, 1), delegate(4_000)), (root(2, 2_000), delegate(2_000))]
    {
        let before = steps::taken();
        let (world, _) = World::default().apply(vec![open_gateway(), service(), root, leaf]);
        let mut translator = Translator::new(ProxyScope::default());
        translator.update(&world, &Changes::default());
        let steps = steps::taken() - before;
        assert!(steps < 400_000, "{steps}");
        let group = translator.resources().find_map(|resource| match resource {
            ir::Resource::RouteGroup(group) => Some(group),
            _ => None,
        });
        let routes = &group.unwrap().route_lists[0];
        assert!(routes.len() <= 16_384 + 1, "{}", routes.len());
        // What is missing is not answered by the laxer rule behind it.
        assert!(
            matches!(&routes.last().unwrap().action, ir::RouteAction::DirectResponse(answer) if answer.status.get() == 503)
        );
        let texts: Vec<String> = translator.reports().map(|report| report.to_string()).collect();
        assert!(texts.iter().any(|text| text.contains("matches-per-virtual-service")), "{texts:?}");
    }
}

/// A small condition on one side and a large text on the other: bytes are bounded, too.
#[test]
fn a_rule_that_repeats_a_large_text_stops_at_the_bound() {
    let large = json!({ "request": { "set": { "x": "a".repeat(100_000) } } });
    let matches = many(10_000, |i| json!({ "uri": { "exact": format!("/{i}") } }));
    let alone = routes(
        "web",
        json!(["a.test"]),
        json!(["gate"]),
        json!([{ "match": matches, "headers": large, "route": to("web") }]),
    );
    let rules =
        json!(many(5_000, |i| json!({ "match": [{ "uri": { "exact": format!("/{i}") } }], "route": to("web") })));
    let leaf = istio("VirtualService", "leaf", json!({ "http": rules }));
    let root = routes(
        "web",
        json!(["a.test"]),
        json!(["gate"]),
        json!([{ "headers": large, "delegate": { "name": "leaf" } }]),
    );
    for objects in [vec![alone], vec![root, leaf]] {
        let (world, _) = World::default().apply(objects.into_iter().chain([open_gateway(), service()]).collect());
        let mut translator = Translator::new(ProxyScope::default());
        let update = translator.update(&world, &Changes::default());
        let bytes: usize = update.encoded.iter().map(|encoded| encoded.body.len()).sum();
        assert!(bytes < 80_000_000, "{bytes}");
        let texts: Vec<String> = translator.reports().map(|report| report.to_string()).collect();
        assert!(texts.iter().any(|text| text.contains("route-bytes-per-virtual-service")), "{texts:?}");
    }
}

#[test]
fn reports_of_one_object_are_counted_and_short() {
    let long = "x".repeat(300_000);
    let rules = many(
        5_000,
        |i| json!({ "match": [{ "uri": { "exact": format!("/{i}") } }], "route": to(&format!("none-{i}")) }),
    );
    let routes = routes(&"w".repeat(60), json!(["a.test"]), json!([long, "gate"]), json!(rules));
    let Change::Upsert(object) = &routes else { panic!() };
    let own = validate(object);
    assert!(own.iter().all(|report| report.to_string().len() < 2_000));
    let (world, _) = World::default().apply(vec![open_gateway(), routes.clone()]);
    let mut translator = Translator::new(ProxyScope::default());
    translator.update(&world, &Changes::default());
    let reports = translator.reports_about(&object.key());
    assert_eq!(reports.len(), 100);
    assert!(reports.iter().any(|report| report.to_string().contains("more problems of this object")));
    assert!(reports.iter().all(|report| report.to_string().len() < 2_000));
    assert_eq!(translator.reports().filter(|report| report.object == object.key()).count(), 100);
}
