//! What writers of status ask about Ingresses.

use std::sync::Arc;

use crds::yaml::{Outcome, read};
use crds::{ObjectKey, ObjectKind};
use translate::{
    Change, Changes, IngressAddresses, ProxyScope, Translator, World, ingress_addresses, ingress_selector, ingresses,
};

const OBJECTS: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: young, namespace: shop, creationTimestamp: 2026-01-02T00:00:00Z }
spec:
  ingressClassName: sluice
  rules: [{ host: a.test, http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: web, port: { number: 80 } } } }] } }]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: old, namespace: shop, creationTimestamp: 2026-01-01T00:00:00Z }
spec:
  ingressClassName: istio
  defaultBackend: { service: { name: web, port: { number: 80 } } }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: foreign, namespace: shop }
spec:
  ingressClassName: nginx
  defaultBackend: { service: { name: web, port: { number: 80 } } }
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: nginx }
spec: { controller: k8s.io/ingress-nginx }
";

fn world(mesh: &str) -> World {
    let mesh = format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: istio, namespace: control }}\ndata: {{ mesh: '{mesh}' }}\n"
    );
    let documents = read(&format!("{OBJECTS}{mesh}")).into_iter().map(|document| match document.outcome {
        Outcome::Object(object) => Change::Upsert(Arc::new(object)),
        other => panic!("{other:?}"),
    });
    World::default().apply(documents.collect()).0
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(ObjectKind::Ingress, "shop", name)
}

#[test]
fn ours_are_those_of_our_classes() {
    assert_eq!(ingresses(&world(""), "control"), [key("old"), key("young")]);
    assert_eq!(ingresses(&world("ingressClass: nginx"), "control"), []);
    assert_eq!(ingresses(&world("ingressControllerMode: \"OFF\""), "control"), []);
    // The settings of another control plane are not ours.
    assert_eq!(ingresses(&world("ingressControllerMode: \"OFF\""), "istio-system"), [key("old"), key("young")]);
}

#[test]
fn addresses_are_those_of_the_ingress_service_or_of_nodes() {
    let service = |name: &str| IngressAddresses::Service(ObjectKey::new(ObjectKind::Service, "control", name));
    assert_eq!(ingress_addresses(&world(""), "control"), service("istio-ingressgateway"));
    assert_eq!(ingress_addresses(&world("ingressService: edge"), "control"), service("edge"));
    let nodes = |value: &str| IngressAddresses::NodesOf {
        namespace: "control".to_owned(),
        label: "istio".to_owned(),
        value: value.to_owned(),
    };
    assert_eq!(ingress_addresses(&world("ingressService: \"\""), "control"), nodes("ingressgateway"));
    let both = "{ingressService: \"\", ingressSelector: edge}";
    assert_eq!(ingress_addresses(&world(both), "control"), nodes("edge"));
    let selector = |mesh: &str| ingress_selector(&world(mesh), "control").1;
    assert_eq!((selector("").as_str(), selector("ingressService: edge").as_str()), ("ingressgateway", "edge"));
}

#[test]
fn an_ingress_has_a_part_in_what_is_made_of_it_at_the_proxies_that_serve_it() {
    let world = world("");
    let resources = |proxy: ProxyScope, name: &str| {
        let mut translator = Translator::new(ProxyScope { control_namespace: "control".to_owned(), ..proxy });
        translator.update(&world, &Changes::default());
        let names = translator.resources_of(&world, &key(name)).into_iter().map(|key| key.name.to_string());
        names.collect::<Vec<_>>()
    };
    let young = resources(ProxyScope::default(), "young");
    assert!(young.contains(&"Ingress/host/a.test".to_owned()) && young.contains(&"0.0.0.0_80".to_owned()), "{young:?}");
    assert!(!young.contains(&"Ingress/default/shop/old".to_owned()), "{young:?}");
    assert!(resources(ProxyScope::default(), "old").contains(&"Ingress/default/shop/old".to_owned()));
    assert!(resources(ProxyScope::default(), "foreign").is_empty());
    let egress =
        ProxyScope { labels: [("istio".to_owned(), "egressgateway".to_owned())].into(), ..ProxyScope::default() };
    assert!(resources(egress, "young").is_empty());
}
