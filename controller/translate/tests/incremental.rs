//! Following edits step by step comes to the same as starting anew; and no object, however odd, makes it panic.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::yaml::{Outcome, read};
use crds::{ObjectKey, ObjectKind};
use ir::{Key, Resource};
use proptest::prelude::*;
use serde_json::{Value, json};
use translate::{Change, Changes, ProxyScope, Translator, World, validate};

/// An edit: an object in JSON, or the name of one to remove.
#[derive(Clone, Debug)]
enum Edit {
    Save(Value),
    Remove(ObjectKind, &'static str, &'static str),
}

/// Few names, the first ones more often than the others, so that objects meet.
const NAMESPACES: [&str; 5] = ["shop", "shop", "shop", "istio-system", "other"];
const NAMES: [&str; 4] = ["one", "one", "two", "three"];

fn pick(options: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    prop::sample::select(options).prop_map(str::to_owned)
}

/// Mostly what makes sense; now and then what does not.
fn mostly(sensible: &'static [&'static str], odd: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    prop_oneof![12 => pick(sensible), 1 => pick(odd)]
}

fn host() -> impl Strategy<Value = String> + Clone {
    mostly(
        &["a.test", "*.test", "*", "one.shop.svc.cluster.local"],
        &["A.Test", "*a.test", "10.0.0.1", "", "é.test", "two.other.svc.cluster.local"],
    )
}

fn service_host() -> impl Strategy<Value = String> + Clone {
    mostly(&["one.shop.svc.cluster.local", "one", "x.test"], &["*.test", "", "*", "*.shop.svc.cluster.local"])
}

fn path() -> impl Strategy<Value = String> + Clone {
    mostly(&["/", "/a", "/b"], &["", "*", ".*", "(", "/a{1}", "%", "é", "\u{0}"])
}

fn pattern() -> impl Strategy<Value = Value> {
    (pick(&["exact", "prefix", "regex", ""]), path()).prop_map(|(kind, text)| match kind.as_str() {
        "" => json!({}),
        kind => json!({ kind: text }),
    })
}

fn port() -> impl Strategy<Value = i64> {
    prop_oneof![9 => Just(80_i64), 3 => Just(443), 1 => prop::sample::select(&[9000_i64, 0, -1, 70000][..])]
}

fn object(
    kind: &'static str,
    version: &'static str,
    spec: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Edit> {
    let created = prop::sample::select(&["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"][..]);
    (prop::sample::select(&NAMESPACES[..]), prop::sample::select(&NAMES[..]), created, spec).prop_map(
        move |(namespace, name, created, spec)| {
            let mut object = json!({
                "apiVersion": version, "kind": kind,
                "metadata": { "name": name, "namespace": namespace, "creationTimestamp": created },
            });
            let fields = object.as_object_mut().unwrap();
            if let Value::Object(mut top) = spec {
                if let Some(labels) = top.remove("labels") {
                    fields["metadata"].as_object_mut().unwrap().insert("labels".to_owned(), labels);
                }
                fields.extend(top);
            }
            Edit::Save(object)
        },
    )
}

fn gateway() -> impl Strategy<Value = Edit> {
    let protocol = mostly(&["HTTP", "HTTP", "HTTPS"], &["TLS", "TCP", "GRPC", "UDP", "??"]);
    let tls = prop::option::of((
        mostly(&["SIMPLE"], &["PASSTHROUGH", "MUTUAL", "ISTIO_MUTUAL", "AUTO_PASSTHROUGH", "OPTIONAL_MUTUAL"]),
        any::<bool>(),
        mostly(&["one", "two"], &["", "ns/x"]),
    ));
    let prefix = mostly(&[""], &["./", "*/", "shop/"]);
    let hosts = prop::collection::vec((prefix, host()).prop_map(|(prefix, host)| prefix + &host), 1..3);
    let bind = prop::option::weighted(0.1, pick(&["", "0.0.0.0", "127.0.0.1", "unix:///x", "nonsense"]));
    let server = (port(), protocol, hosts, tls, bind).prop_map(|(number, protocol, hosts, tls, bind)| {
        let tls = tls.map(|(mode, redirect, credential)| {
            json!({ "mode": mode, "httpsRedirect": redirect, "credentialName": credential })
        });
        json!({ "port": { "number": number, "protocol": protocol, "name": protocol }, "hosts": hosts, "tls": tls, "bind": bind })
    });
    let selector = prop::sample::select(&["ingressgateway", "ingressgateway", "ingressgateway", "else"][..]);
    let spec = (prop::collection::vec(server, 1..3), selector)
        .prop_map(|(servers, selector)| json!({ "spec": { "selector": { "istio": selector }, "servers": servers } }));
    object("Gateway", "networking.istio.io/v1", spec)
}

fn destination() -> impl Strategy<Value = Value> {
    (service_host(), prop::option::of(port()), prop::option::of(mostly(&["v1", "v2"], &[""]))).prop_map(|(host, port, subset)| {
        json!({ "host": host, "port": port.map(|port| json!({ "number": port })), "subset": subset })
    })
}

fn headers() -> impl Strategy<Value = Value> {
    let name = pick(&["x-a", "Host", ":authority", "", "x a", ":path"]);
    let value = pick(&["1", "", "%REQ(X)%", "%", "%NOPE%", "\n"]);
    (name.clone(), value, name)
        .prop_map(|(set, value, remove)| json!({ "request": { "set": { set: value }, "remove": [remove] } }))
}

fn http_rule() -> impl Strategy<Value = Value> {
    let entry = (pattern(), pattern(), prop::option::weighted(0.3, port()), prop::option::weighted(0.2, mostly(&["one", "shop/two"], &["mesh", "/"])))
        .prop_map(|(uri, header, port, gateway)| {
            json!({
                "uri": uri, "headers": { "x-a": header.clone() }, "withoutHeaders": { "@request.auth.claims.a": header, "x-b": uri },
                "port": port, "gateways": gateway.into_iter().collect::<Vec<_>>(),
            })
        });
    let route = prop::collection::vec(
        (destination(), prop::sample::select(&[0_i64, 1, 50, -1][..]), headers()).prop_map(
            |(destination, weight, headers)| json!({ "destination": destination, "weight": weight, "headers": headers }),
        ),
        0..3,
    );
    let action = prop_oneof![
        4 => route.prop_map(|route| json!({ "route": route })),
        1 => (path(), port()).prop_map(|(uri, port)| json!({ "redirect": { "uri": uri, "port": port, "redirectCode": port } })),
        1 => port().prop_map(|status| json!({ "directResponse": { "status": status, "body": { "bytes": "x" } } })),
        1 => prop::sample::select(&NAMES[..]).prop_map(|name| json!({ "delegate": { "name": name, "namespace": "shop" } })),
    ];
    let rest = (prop::option::of(path()), pick(&["1s", "", "0s", "x"]), port(), headers());
    (prop::collection::vec(entry, 0..3), action, rest).prop_map(
        |(matches, action, (rewrite, timeout, attempts, headers))| {
            let mut rule = json!({
                "match": matches, "timeout": timeout, "headers": headers,
                "rewrite": rewrite.map(|uri| json!({ "uri": uri })),
                "retries": { "attempts": attempts, "retryOn": "5xx, 503,??", "perTryTimeout": timeout },
            });
            rule.as_object_mut().unwrap().extend(action.as_object().unwrap().clone());
            rule
        },
    )
}

fn virtual_service() -> impl Strategy<Value = Edit> {
    let gateways = mostly(&["shop/one", "shop/one", "shop/two"], &["one", "other/three", "mesh", "two.shop", "", "/"]);
    let gateways = prop::collection::vec(gateways, 1..3);
    let tcp = prop::collection::vec(destination(), 0..2).prop_map(|route| {
        let route: Vec<Value> = route.into_iter().map(|to| json!({ "destination": to, "weight": 1 })).collect();
        json!([{ "route": route }])
    });
    let exports = prop::collection::vec(mostly(&["*", "istio-system"], &[".", "~"]), 0..2);
    let spec = (prop::collection::vec(host(), 0..3), gateways, prop::collection::vec(http_rule(), 0..4), tcp, exports)
        .prop_map(|(hosts, gateways, http, tcp, exports)| {
            json!({ "spec": { "hosts": hosts, "gateways": gateways, "http": http, "tcp": tcp, "exportTo": exports } })
        });
    object("VirtualService", "networking.istio.io/v1", spec)
}

fn destination_rule() -> impl Strategy<Value = Edit> {
    let rule_host = mostly(&["one", "*.shop.svc.cluster.local", "*.test"], &["*", "x.test", ""]);
    let policy = prop::option::of(pick(&["ROUND_ROBIN", "RANDOM", "PASSTHROUGH"])).prop_map(|simple| {
        simple.map(|simple| {
            json!({ "loadBalancer": { "simple": simple }, "portLevelSettings": [{ "port": { "number": 80 }, "tls": { "mode": "DISABLE" } }] })
        })
    });
    let subset = (pick(&["v1", "v2"]), policy.clone())
        .prop_map(|(name, policy)| json!({ "name": name, "labels": { "version": name }, "trafficPolicy": policy }));
    let exports = prop::collection::vec(pick(&["*", "."]), 0..2);
    let spec = (rule_host, policy, prop::collection::vec(subset, 0..3), exports).prop_map(|(host, policy, subsets, exports)| {
        json!({ "spec": { "host": host, "trafficPolicy": policy, "subsets": subsets, "exportTo": exports } })
    });
    object("DestinationRule", "networking.istio.io/v1", spec)
}

fn service_entry() -> impl Strategy<Value = Edit> {
    let endpoint = (pick(&["10.0.0.1", "b.test", "unix:///x", ""]), pick(&["v1", "v2"]), port()).prop_map(
        |(address, version, port)| json!({ "address": address, "labels": { "version": version }, "ports": { "http": port }, "weight": port }),
    );
    let ports = prop::collection::vec(port(), 0..3).prop_map(|ports| {
        ports
            .into_iter()
            .map(|number| json!({ "number": number, "name": "http", "protocol": "HTTP" }))
            .collect::<Vec<_>>()
    });
    let resolution = mostly(&["STATIC", "STATIC", "DNS"], &["NONE", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]);
    let selecting = prop::bool::weighted(0.1);
    let spec = (prop::collection::vec(service_host(), 1..3), ports, resolution, prop::collection::vec(endpoint, 0..3), selecting)
        .prop_map(|(hosts, ports, resolution, endpoints, selecting)| {
            let selector = selecting.then(|| json!({ "labels": { "istio": "ingressgateway" } }));
            json!({ "spec": { "hosts": hosts, "ports": ports, "resolution": resolution, "endpoints": endpoints, "workloadSelector": selector } })
        });
    object("ServiceEntry", "networking.istio.io/v1", spec)
}

fn service() -> impl Strategy<Value = Edit> {
    let ports =
        prop::collection::vec((prop::sample::select(&[80, 80, 443][..]), pick(&["http", "grpc-x", "web"])), 0..3);
    let target = prop::sample::select(vec![json!(8080), json!("http"), json!(0), Value::Null]);
    let external = prop::option::weighted(0.1, service_host());
    let spec = (ports, target, external, prop::bool::weighted(0.2)).prop_map(|(ports, target, external, gateway)| {
        let ports: Vec<Value> =
            ports.into_iter().map(|(port, name)| json!({ "port": port, "name": name, "targetPort": target })).collect();
        let kind = if external.is_some() { "ExternalName" } else { "ClusterIP" };
        let selector = if gateway { json!({ "istio": "ingressgateway" }) } else { json!({ "app": "x" }) };
        json!({ "spec": { "ports": ports, "type": kind, "externalName": external, "selector": selector } })
    });
    object("Service", "v1", spec)
}

fn slice() -> impl Strategy<Value = Edit> {
    let endpoint = (pick(&["10.1.0.1", "10.1.0.2", "fd00::1", "x"]), prop::bool::weighted(0.8), prop::option::of(prop::sample::select(&NAMES[..]))).prop_map(
        |(address, ready, pod)| json!({ "addresses": [address], "conditions": { "ready": ready }, "targetRef": pod.map(|pod| json!({ "kind": "Pod", "name": pod })) }),
    );
    let spec = (prop::collection::vec(endpoint, 0..3), prop::sample::select(&NAMES[..]), pick(&["http", "web"]))
        .prop_map(|(endpoints, service, port)| {
            json!({
                "labels": { "kubernetes.io/service-name": service }, "addressType": "IPv4",
                "endpoints": endpoints, "ports": [{ "name": port, "port": 8080 }],
            })
        });
    object("EndpointSlice", "discovery.k8s.io/v1", spec)
}

fn pod() -> impl Strategy<Value = Edit> {
    let spec = pick(&["v1", "v2"])
        .prop_map(|version| json!({ "labels": { "version": version }, "status": { "podIP": "10.1.0.2" } }));
    object("Pod", "v1", spec)
}

fn secret() -> impl Strategy<Value = Edit> {
    // Only good ones, and never removed: what stays in use after a bad one is history, which a new start does not have.
    let files = [include_str!("pem/one.pem"), include_str!("pem/two.pem")];
    (prop::sample::select(&NAMES[..]), prop::sample::select(files.to_vec())).prop_map(|(name, pem)| {
        let (certificate, key) = pem.split_at(pem.find("-----BEGIN PRIVATE").unwrap());
        Edit::Save(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": "istio-system" },
            "stringData": { "tls.crt": certificate, "tls.key": key },
        }))
    })
}

fn ingress() -> impl Strategy<Value = Edit> {
    let name = prop::sample::select(&NAMES[..]);
    let port = prop_oneof![
        3 => port().prop_map(|number| json!({ "number": number })),
        2 => pick(&["http", "web", ""]).prop_map(|name| json!({ "name": name })),
    ];
    let service = (name, port).prop_map(|(name, port)| json!({ "service": { "name": name, "port": port } }));
    let backend = prop_oneof![
        9 => service,
        1 => Just(json!({ "resource": { "kind": "Bucket", "name": "b" } })),
        1 => Just(json!({})),
    ];
    let kind = mostly(&["Exact", "Prefix", "ImplementationSpecific"], &["", "Glob"]);
    let entry = (kind, path(), backend.clone())
        .prop_map(|(kind, path, backend)| json!({ "pathType": kind, "path": path, "backend": backend }));
    let rule = (prop::option::of(host()), prop::option::weighted(0.9, prop::collection::vec(entry, 0..3)))
        .prop_map(|(host, paths)| json!({ "host": host, "http": paths.map(|paths| json!({ "paths": paths })) }));
    let tls =
        (prop::collection::vec(host(), 0..2), prop::option::weighted(0.9, mostly(&["one", "two"], &["", "ns/x"])))
            .prop_map(|(hosts, secret)| json!({ "hosts": hosts, "secretName": secret }));
    let class = prop::option::weighted(0.9, mostly(&["istio", "istio", "one", "two"], &["", "sluice", "nginx"]));
    let spec = (
        class,
        prop::collection::vec(rule, 0..3),
        prop::collection::vec(tls, 0..2),
        prop::option::weighted(0.3, backend),
    )
        .prop_map(|(class, rules, tls, backend)| {
            json!({ "spec": { "ingressClassName": class, "rules": rules, "tls": tls, "defaultBackend": backend } })
        });
    object("Ingress", "networking.k8s.io/v1", spec)
}

fn ingress_class() -> impl Strategy<Value = Edit> {
    let controller = pick(&["istio.io/ingress-controller", "sluice.dev/ingress-controller", "k8s.io/ingress-nginx"]);
    object(
        "IngressClass",
        "networking.k8s.io/v1",
        controller.prop_map(|name| json!({ "spec": { "controller": name } })),
    )
}

fn mesh() -> impl Strategy<Value = Edit> {
    let text = pick(&[
        "",
        "ingressControllerMode: DEFAULT",
        "ingressControllerMode: \"OFF\"",
        "{ingressClass: two, ingressSelector: else}",
        "connectTimeout: 3s",
        "defaultServiceExportTo: [\".\"]",
        "rootNamespace: shop",
        "tenancy: strict",
        "{tenancy: strict, ingressControllerMode: DEFAULT}",
        "scopeGatewayToNamespace: true",
        "defaultHttpRetryPolicy: {attempts: 1}",
    ]);
    text.prop_map(|text| {
        Edit::Save(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "istio", "namespace": "istio-system" },
            "data": { "mesh": text },
        }))
    })
}

fn removal() -> impl Strategy<Value = Edit> {
    let kinds = [
        ObjectKind::Gateway,
        ObjectKind::VirtualService,
        ObjectKind::DestinationRule,
        ObjectKind::ServiceEntry,
        ObjectKind::Service,
        ObjectKind::EndpointSlice,
        ObjectKind::Pod,
        ObjectKind::Ingress,
        ObjectKind::IngressClass,
    ];
    (prop::sample::select(kinds.to_vec()), prop::sample::select(&NAMESPACES[..]), prop::sample::select(&NAMES[..]))
        .prop_map(|(kind, namespace, name)| Edit::Remove(kind, if kind.is_namespaced() { namespace } else { "" }, name))
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => gateway(), 6 => virtual_service(), 3 => destination_rule(), 3 => service_entry(), 3 => service(), 3 => slice(),
        2 => pod(), 1 => secret(), 1 => mesh(), 5 => ingress(), 2 => ingress_class(), 5 => removal(),
    ]
}

fn change(edit: Edit) -> Option<Change> {
    let json = match edit {
        Edit::Remove(kind, namespace, name) => return Some(Change::Remove(ObjectKey::new(kind, namespace, name))),
        Edit::Save(json) => json,
    };
    match read(&json.to_string()).remove(0).outcome {
        Outcome::Object(object) => {
            // Objects that the store would keep out go in as well: nothing may panic on them.
            let _ = validate(&object);
            Some(Change::Upsert(Arc::new(object)))
        }
        Outcome::Failed(_) | Outcome::Skipped { .. } | Outcome::Empty => None,
    }
}

/// Resources by name and all reports, as text.
fn state(translator: &Translator) -> (BTreeMap<Key, Resource>, BTreeSet<String>) {
    let resources = translator.resources().map(|resource| (resource.key(), resource)).collect();
    (resources, translator.reports().map(|report| report.to_string()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn step_by_step_is_the_same_as_anew(steps in prop::collection::vec(prop::collection::vec(edit(), 1..8), 1..16)) {
        let mut world = World::default();
        let mut follower = Translator::new(ProxyScope::default());
        let mut delivered: BTreeMap<Key, Resource> = BTreeMap::new();
        for step in steps {
            let (next, changes) = world.apply(step.into_iter().filter_map(change).collect());
            world = next;
            let update = follower.update(&world, &changes);
            for key in update.removed {
                prop_assert!(delivered.remove(&key).is_some(), "{} was not there", key);
            }
            for resource in update.changed {
                prop_assert!(delivered.insert(resource.key(), resource.clone()) != Some(resource), "sent twice");
            }
            let mut anew = Translator::new(ProxyScope::default());
            anew.update(&world, &Changes::default());
            let (resources, reports) = state(&follower);
            prop_assert_eq!(&delivered, &resources);
            prop_assert_eq!((resources, reports), state(&anew));
        }
    }
}
