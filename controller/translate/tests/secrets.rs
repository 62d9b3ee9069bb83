//! Certificates live on: a bad or deleted Secret leaves the last good one in use, and a better one heals it
//! (docs/semantics.md §2.8).

use std::sync::Arc;

use crds::yaml::{Outcome, read};
use crds::{ObjectKey, ObjectKind};
use ir::{Resource, Secret};
use serde_json::{Value, json};
use translate::{Change, Changes, ProxyScope, Translator, World};

const ONE: &str = include_str!("pem/one.pem");
const TWO: &str = include_str!("pem/two.pem");

fn object(json: &Value) -> Change {
    match read(&json.to_string()).remove(0).outcome {
        Outcome::Object(object) => Change::Upsert(Arc::new(object)),
        other => panic!("{other:?}"),
    }
}

fn secret(certificate: &str, key: &str) -> Change {
    object(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "shop", "namespace": "istio-system" },
        "stringData": { "tls.crt": certificate, "tls.key": key },
    }))
}

/// Certificate and key of a file that holds both.
fn halves(pem: &str) -> (&str, &str) {
    pem.split_at(pem.find("-----BEGIN PRIVATE").unwrap_or(pem.len()))
}

struct Follower {
    world: World,
    translator: Translator,
}

impl Follower {
    fn new() -> Self {
        let gateway = object(&json!({
            "apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": { "name": "gate", "namespace": "edge" },
            "spec": { "servers": [{
                "port": { "number": 443, "name": "https", "protocol": "HTTPS" }, "hosts": ["shop.test"],
                "tls": { "mode": "SIMPLE", "credentialName": "shop" },
            }] },
        }));
        let mut follower = Self { world: World::default(), translator: Translator::new(ProxyScope::default()) };
        follower.step(gateway);
        follower
    }

    /// What the proxy hears of certificates.
    fn step(&mut self, change: Change) -> Vec<Secret> {
        let (world, changes) = self.world.apply(vec![change]);
        self.world = world;
        let update = self.translator.update(&self.world, &changes);
        assert!(update.removed.is_empty(), "{:?}", update.removed);
        let secrets = update.changed.into_iter().filter_map(|resource| match resource {
            Resource::Secret(secret) => Some(secret),
            Resource::Settings(_)
            | Resource::Endpoints(_)
            | Resource::Cluster(_)
            | Resource::RouteGroup(_)
            | Resource::RouteTable(_)
            | Resource::Listener(_) => None,
        });
        secrets.collect()
    }

    fn problems_of_the_gateway(&self) -> Vec<String> {
        let about = self.translator.reports_about(&ObjectKey::new(ObjectKind::Gateway, "edge", "gate"));
        about.iter().map(|report| format!("{} {}", report.field, report.problem.reason())).collect()
    }

    fn problems(&self) -> Vec<&'static str> {
        self.translator.reports().map(|report| report.problem.reason()).collect()
    }
}

#[test]
fn a_gateway_is_told_of_when_its_secret_changes() {
    let (certificate, key) = halves(ONE);
    let mut follower = Follower::new();
    let gateway = ObjectKey::new(ObjectKind::Gateway, "edge", "gate");
    let steps = [(secret("nonsense", key), true), (secret("other", key), false), (secret(certificate, key), true)];
    for (change, told) in steps {
        let (world, changes) = follower.world.apply(vec![change]);
        follower.world = world;
        let update = follower.translator.update(&follower.world, &changes);
        assert_eq!(update.reported.contains(&gateway), told);
    }
    assert!(follower.problems_of_the_gateway().is_empty());
}

#[test]
fn the_last_good_certificate_stays_in_use() {
    let ((one, one_key), (two, two_key)) = (halves(ONE), halves(TWO));
    let mut follower = Follower::new();
    assert_eq!(follower.problems(), ["UnknownSecret"]);

    let sent = follower.step(secret(one, one_key));
    assert_eq!(sent.iter().map(|secret| secret.certificate_chain.as_str()).collect::<Vec<_>>(), [one]);
    assert!(follower.problems().is_empty());

    // A key that belongs to another certificate, no certificate, nothing at all: the proxy hears nothing.
    for (certificate, key) in [(one, two_key), ("nonsense", one_key), ("", "")] {
        assert_eq!(follower.step(secret(certificate, key)), []);
        assert_eq!(follower.problems(), ["UnusableSecret"]);
        // Nobody looks at a Secret for that.
        assert_eq!(follower.problems_of_the_gateway(), ["spec.servers[0].tls.credentialName UnusableSecret"]);
    }
    assert_eq!(follower.step(Change::Remove(ObjectKey::new(ObjectKind::Secret, "istio-system", "shop"))), []);
    assert_eq!(follower.problems(), ["UnknownSecret"]);

    let sent = follower.step(secret(two, two_key));
    assert_eq!(sent.iter().map(|secret| secret.certificate_chain.as_str()).collect::<Vec<_>>(), [two]);
    assert!(follower.problems().is_empty());
}

#[test]
fn keys_are_not_printed() {
    let (one, one_key) = halves(ONE);
    let mut follower = Follower::new();
    let sent = follower.step(secret(one, one_key));
    assert!(!format!("{sent:?} {:?}", follower.translator).contains(&one_key[40..80]));
}

#[test]
fn a_gateway_that_needs_no_secret_has_none() {
    let (world, _) = World::default().apply(vec![secret(halves(ONE).0, halves(ONE).1)]);
    let mut translator = Translator::new(ProxyScope::default());
    let update = translator.update(&world, &Changes::default());
    assert!(!update.changed.iter().any(|resource| matches!(resource, Resource::Secret(_))));
}
