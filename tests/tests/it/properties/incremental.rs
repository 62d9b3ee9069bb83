//! After any history of edits a proxy has been told what it would be told by a controller that starts now.

use std::collections::BTreeMap;
use std::sync::Arc;

use controller::source::FileChange;
use controller::{Content, Engine};

const HISTORIES: u64 = 60;
const STEPS: usize = 40;

fn one<'a>(random: &mut fastrand::Rng, of: &[&'a str]) -> &'a str {
    of[random.usize(0..of.len())]
}

/// A file's name and a text for it that is in order. Every file holds the same object whatever its text says.
fn valid(random: &mut fastrand::Rng) -> (String, String) {
    let number = random.usize(0..4);
    let host = format!("svc-{}", random.usize(0..3));
    match random.usize(0..7) {
        0 => {
            let port = one(random, &["8080", "8081"]);
            let hosts = one(random, &["['*']", "['*.test', shop/a.test]", "[a.test]"]);
            let text = format!(
                "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: gate-{number}, namespace: edge}}\nspec:\n  \
                 selector: {{istio: ingressgateway}}\n  servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, \
                 hosts: {hosts}}}]\n"
            );
            (format!("gate-{number}.yaml"), text)
        }
        1..4 => {
            let subset = one(random, &["", ", subset: v1", ", subset: v2", ", port: {number: 81}"]);
            let path = one(random, &["/", "/a", "/b"]);
            let text = format!(
                "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: vs-{number}, namespace: shop}}\n\
                 spec:\n  hosts: [{}]\n  gateways: [edge/gate-{}]\n  http:\n  - match: [{{uri: {{prefix: {path}}}}}]\n    route: \
                 [{{destination: {{host: {host}{subset}}}, weight: {}}}, {{destination: {{host: svc-0}}, weight: 5}}]\n",
                one(random, &["a.test", "b.test", "'*'"]),
                random.usize(0..4),
                random.u32(1..9)
            );
            (format!("vs-{number}.yaml"), text)
        }
        4 => {
            let number = random.usize(0..3);
            let subsets = one(
                random,
                &["[]", "[{name: v1, labels: {version: v1}}]", "[{name: v1}, {name: v2, labels: {version: v2}}]"],
            );
            let balancer = one(random, &["RANDOM", "ROUND_ROBIN", "LEAST_REQUEST"]);
            let text = format!(
                "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: dr-{number}, namespace: shop}}\n\
                 spec: {{host: svc-{number}, trafficPolicy: {{loadBalancer: {{simple: {balancer}}}}}, subsets: {subsets}}}\n"
            );
            (format!("dr-{number}.yaml"), text)
        }
        5 => {
            let number = random.usize(0..3);
            let more = one(random, &["", ", {number: 81, name: more, protocol: HTTP}"]);
            let text = format!(
                "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: svc-{number}, namespace: shop}}\n\
                 spec:\n  hosts: [svc-{number}.shop.svc.cluster.local]\n  resolution: STATIC\n  ports: [{{number: 80, name: http, \
                 protocol: HTTP}}{more}]\n  endpoints: [{{address: 10.0.0.{}, labels: {{version: v{}}}}}]\n",
                random.u8(1..9),
                random.u8(1..3)
            );
            (format!("svc-{number}.yaml"), text)
        }
        _ => {
            let text = format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |\n    \
                 accessLogFile: {}\n    pathNormalization: {{normalization: {}}}\n",
                one(random, &["''", "/dev/stdout"]),
                one(random, &["BASE", "NONE", "MERGE_SLASHES"])
            );
            ("mesh.yaml".to_owned(), text)
        }
    }
}

/// A text with which nobody can do anything: what was good before stays in force.
fn invalid(random: &mut fastrand::Rng, text: &str) -> String {
    match random.usize(0..3) {
        0 => text.replace("spec:", "spec: ["),
        1 => text
            .replace("spec:", "spec:\n  unheardOf: x\n")
            .replace("spec:\n  unheardOf: x\n {", "spec: {unheardOf: x, "),
        _ => text.replace("kind:", "kind: ["),
    }
}

#[derive(Default)]
struct Told(BTreeMap<String, Arc<str>>);

impl Told {
    fn take(&mut self, delta: &ir::Delta) {
        for encoded in &delta.changed {
            self.0.insert(encoded.key.to_string(), Arc::clone(&encoded.version));
        }
        for key in &delta.removed {
            assert!(self.0.remove(&key.to_string()).is_some(), "{key} was taken away and never there");
        }
    }
}

#[test]
fn any_history_of_edits_ends_where_a_fresh_start_would() {
    let (mut told, mut checks) = (0, 0);
    for seed in 0..HISTORIES {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut engine = Engine::new(translate::ProxyScope::default(), translate::TranslationLimits::default(), None);
        let mut proxy = Told::default();
        // The last good text of every file that is there.
        let mut good: BTreeMap<String, String> = BTreeMap::new();
        for step in 0..STEPS {
            let mut changes = Vec::new();
            for _ in 0..random.usize(1..4) {
                let (name, text) = valid(&mut random);
                if changes.iter().any(|change: &FileChange| change.path.ends_with(&name)) {
                    continue;
                }
                changes.push(match random.usize(0..8) {
                    0 if good.remove(&name).is_some() => FileChange { path: name.into(), content: Content::Gone },
                    1 if good.contains_key(&name) && name != "mesh.yaml" => {
                        FileChange::from_text(name, &invalid(&mut random, &text))
                    }
                    _ => {
                        let change = FileChange::from_text(name.clone(), &text);
                        good.insert(name, text);
                        change
                    }
                });
            }
            let delta = engine.step(changes).delta;
            told += delta.changed.len() + delta.removed.len();
            proxy.take(&delta);
            let mut fresh = Told::default();
            let files = good.iter().map(|(name, text)| FileChange::from_text(name.clone(), text)).collect();
            fresh.take(
                &Engine::new(translate::ProxyScope::default(), translate::TranslationLimits::default(), None)
                    .step(files)
                    .delta,
            );
            assert_eq!(proxy.0, fresh.0, "seed {seed}, step {step}: {good:#?}");
            checks += proxy.0.len();
        }
    }
    assert!(told > 3000 && checks > 10_000, "{told} resources told, {checks} compared");
}
