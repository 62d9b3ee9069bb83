//! A thousand edits, good and bad, under load: nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sluice_tests::backend::service_entry;
use sluice_tests::client::{H2, Reply};
use sluice_tests::edge::{file, host_rule, mesh_config};
use sluice_tests::pki::Pki;
use sluice_tests::{Backend, Edge, H1, until};

/// Another seed is another test; what fails can be run again with the one printed.
const SEED: u64 = 0x51_0ce;
const EDITS: usize = 1000;
/// Connections of each of: h1, h1 over TLS, h2, h2 over TLS.
const CONNECTIONS: [usize; 4] = [13, 12, 13, 12];

const GATEWAY: &str = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}
  - {port: {number: 8443, name: https, protocol: HTTPS}, hosts: ['*.test'], tls: {mode: SIMPLE, credentialName: a}}
";

/// The rule that must always serve, whatever else stands around it.
fn web(random: &mut fastrand::Rng) -> String {
    let weight = random.u32(1..100);
    let noise: String = (0..random.usize(0..4))
        .map(|_| format!("  - match: [{}]\n    directResponse: {{status: 418}}\n", entry(random)))
        .collect();
    let timeout = ["", "    timeout: 20s\n", "    retries: {attempts: 3}\n"][random.usize(0..3)];
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: web, namespace: shop}}\nspec:\n  \
         hosts: [web.test]\n  gateways: [edge/gate]\n  http:\n{noise}  - headers: {{response: {{set: {{x-edit: \
         '{weight}'}}}}}}\n    rewrite: {{uri: /r{weight}/}}\n{timeout}    route:\n    - {{destination: {{host: web, \
         subset: v1}}, weight: {weight}}}\n    - {{destination: {{host: web, subset: v2}}, weight: {}}}\n",
        100 - weight
    )
}

/// A condition that no request of the load meets.
fn entry(random: &mut fastrand::Rng) -> String {
    let number = random.u32(0..1000);
    match random.usize(0..5) {
        0 => format!("{{uri: {{prefix: /noise{number}}}}}"),
        1 => format!("{{uri: {{regex: '/noise/[0-9]+/{number}'}}}}"),
        2 => format!("{{headers: {{x-noise: {{exact: '{number}'}}}}}}"),
        3 => format!("{{queryParams: {{noise: {{exact: '{number}'}}}}}}"),
        _ => format!("{{method: {{exact: PUT}}, uri: {{exact: /noise{number}}}}}"),
    }
}

fn destination_rule(random: &mut fastrand::Rng) -> String {
    let balancer = ["LEAST_REQUEST", "ROUND_ROBIN", "RANDOM"][random.usize(0..3)];
    let more = if random.bool() { ", {name: v3, labels: {version: v3}}" } else { "" };
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: web, namespace: shop}}\nspec:\n  \
         host: web\n  trafficPolicy: {{loadBalancer: {{simple: {balancer}}}}}\n  subsets: [{{name: v1, labels: {{version: \
         v1}}}}, {{name: v2, labels: {{version: v2}}}}{more}]\n"
    )
}

/// The endpoints of `web`: always one of each version, their number and weight changing.
fn endpoints(random: &mut fastrand::Rng, [alpha, beta, gamma]: [u16; 3]) -> String {
    let mut all = match random.usize(0..3) {
        0 => vec![(alpha, "v1")],
        1 => vec![(gamma, "v1")],
        _ => vec![(alpha, "v1"), (gamma, "v1")],
    };
    all.push((beta, "v2"));
    random.shuffle(&mut all);
    service_entry("web", &all)
}

/// A Gateway of its own, that comes and goes; sometimes on the port that is under load.
fn other_gateway(random: &mut fastrand::Rng) -> String {
    let (port, name) = [(8081, "more"), (8080, "http")][random.usize(0..2)];
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: other, namespace: edge}}\nspec:\n  \
         selector: {{istio: ingressgateway}}\n  servers: [{{port: {{number: {port}, name: {name}, protocol: HTTP}}, hosts: \
         [noise-{}.test]}}]\n",
        random.u32(0..20)
    )
}

fn mesh(random: &mut fastrand::Rng) -> String {
    let path = ["NONE", "BASE", "MERGE_SLASHES"][random.usize(0..3)];
    let log = ["", "accessLogFile: /dev/null\n"][random.usize(0..2)];
    mesh_config(&format!("{log}pathNormalization: {{normalization: {path}}}"))
}

/// What no object survives that has no last good version.
fn broken(random: &mut fastrand::Rng, text: &str) -> String {
    match random.usize(0..6) {
        0 => text.replace("http:", "http: ["),
        1 => text[..text.len() * 2 / 3].to_owned() + "\n  - {",
        2 => {
            text.replace("  http:\n", "  http:\n  - match: [{uri: {regex: '['}}]\n    directResponse: {status: 418}\n")
        }
        3 => text.replace("host: web", "host: [web]"),
        4 => text.replace("spec:", "spec:\n  unheardOf: 1"),
        _ => text.replace("rewrite:", "rewrte:"),
    }
}

/// One edit: a file and its new text, or none to take it away.
fn edit(random: &mut fastrand::Rng, pki: &Pki, ports: [u16; 3]) -> (String, Option<String>) {
    match random.usize(0..27) {
        0..5 => ("web.yaml".to_owned(), Some(web(random))),
        5..8 => {
            let text = web(random);
            ("web.yaml".to_owned(), Some(broken(random, &text)))
        }
        8..11 => ("rule.yaml".to_owned(), Some(destination_rule(random))),
        11 => ("rule.yaml".to_owned(), Some(destination_rule(random).replace("subsets:", "subsets: {"))),
        12 => ("secret.yaml".to_owned(), Some(pki.issue(&["web.test"]).secret("a"))),
        13 => ("secret.yaml".to_owned(), Some(pki.issue(&["web.test"]).secret("a").replace("BEGIN", "BEGUN"))),
        14..18 => {
            let name = format!("noise-{}", random.usize(0..20));
            let host = if random.bool() { "web.test".to_owned() } else { format!("{name}.test") };
            let rule = format!("{{match: [{}], directResponse: {{status: 418}}}}", entry(random));
            (
                format!("{name}.yaml"),
                Some(host_rule(&name, &rule).replace(&format!("[{name}.test]"), &format!("[{host}]"))),
            )
        }
        18..20 => (format!("noise-{}.yaml", random.usize(0..20)), None),
        20..23 => ("web-entry.yaml".to_owned(), Some(endpoints(random, ports))),
        23 => ("other-gateway.yaml".to_owned(), Some(other_gateway(random))),
        24 => ("other-gateway.yaml".to_owned(), None),
        // A server of another name has routes of its own.
        25 => {
            let number = random.u32(0..3);
            let text = GATEWAY.replace("name: https,", &format!("name: https-{number},"));
            ("00.yaml".to_owned(), Some(text))
        }
        _ => ("mesh.yaml".to_owned(), Some(mesh(random))),
    }
}

/// What the load saw.
#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    requests: AtomicU64,
    v1: AtomicU64,
    v2: AtomicU64,
    failures: std::sync::Mutex<Vec<String>>,
}

impl Seen {
    fn note(&self, what: &str, number: usize, reply: anyhow::Result<Reply>) -> bool {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let failure = match reply {
            Ok(reply) if reply.status == 200 && reply.header("connection").is_none() => {
                let version = if reply.backend() == "beta" { &self.v2 } else { &self.v1 };
                version.fetch_add(1, Ordering::Relaxed);
                return true;
            }
            Ok(reply) => format!("{} {:?} {}", reply.status, reply.headers, reply.text()),
            Err(error) => format!("{error:#}"),
        };
        self.failures.lock().unwrap().push(format!("{what} {number}: {failure}"));
        false
    }
}

async fn load_h1(mut client: H1, seen: Arc<Seen>, what: &'static str) {
    let mut number = 0;
    while !seen.stop.load(Ordering::Relaxed) {
        let body = (number % 3 == 0).then_some("some body");
        let reply = client.request("POST", "web.test", &format!("/{number}"), &[], body).await;
        if !seen.note(what, number, reply) {
            return;
        }
        number += 1;
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

async fn load_h2(mut client: H2, seen: Arc<Seen>, what: &'static str) {
    let mut number = 0;
    while !seen.stop.load(Ordering::Relaxed) {
        let body = (number % 3 == 0).then_some("some body");
        let reply = client.request("POST", "web.test", &format!("/{number}"), &[], body).await;
        if !seen.note(what, number, reply) {
            return;
        }
        number += 1;
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_edits_under_load_cost_no_request_and_no_connection() {
    println!("seed {SEED:#x}");
    let mut random = fastrand::Rng::with_seed(SEED);
    let pki = Pki::new();
    let backends = [Backend::start("alpha").await, Backend::start("beta").await, Backend::start("gamma").await];
    let ports = [0, 1, 2].map(|index: usize| backends[index].address.port());
    let mut edge = Edge::start(&[GATEWAY.to_owned()]).await;
    edge.save("web-entry.yaml", &endpoints(&mut random, ports)).await;
    edge.save("secret.yaml", &pki.issue(&["web.test"]).secret("a")).await;
    edge.save("rule.yaml", &destination_rule(&mut random)).await;
    edge.save("web.yaml", &web(&mut random)).await;
    let (plain, secure) = (edge.port(8080).await, edge.port(8443).await);

    let seen = Arc::new(Seen::default());
    let mut load = Vec::new();
    for _ in 0..CONNECTIONS[0] {
        load.push(tokio::spawn(load_h1(H1::connect(plain).await.unwrap(), Arc::clone(&seen), "h1")));
    }
    for _ in 0..CONNECTIONS[1] {
        let client = H1::connect_tls(secure, "web.test", pki.client(&["http/1.1"])).await.unwrap();
        load.push(tokio::spawn(load_h1(client, Arc::clone(&seen), "h1 over TLS")));
    }
    for _ in 0..CONNECTIONS[2] {
        load.push(tokio::spawn(load_h2(H2::connect(plain).await.unwrap(), Arc::clone(&seen), "h2")));
    }
    for _ in 0..CONNECTIONS[3] {
        let client = H2::connect_tls(secure, "web.test", pki.client(&["h2"])).await.unwrap();
        load.push(tokio::spawn(load_h2(client, Arc::clone(&seen), "h2 over TLS")));
    }

    let before = edge.gateway.table().generation();
    for _ in 0..EDITS {
        match edit(&mut random, &pki, ports) {
            (name, Some(text)) => edge.write(&name, &text),
            // It may not be there.
            (name, None) => drop(std::fs::remove_file(edge.path(&name))),
        }
        tokio::time::sleep(Duration::from_millis(8)).await;
    }
    // The edits were taken: one after them is in force, with many tables before it.
    edge.write("last.yaml", &file(&[host_rule("last", "{directResponse: {status: 299}}")]));
    let mut client = H1::connect(plain).await.unwrap();
    until("the last edit", async || (client.get("last.test", "/").await.ok()?.status == 299).then_some(())).await;
    let tables = edge.gateway.table().generation() - before;
    seen.stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    let events = edge.pending();
    let (problems, resources): (usize, usize) =
        events.iter().fold((0, 0), |(a, b), event| (a + event.problems.len(), b + event.resources_changed));
    let requests = seen.requests.load(Ordering::Relaxed);
    println!(
        "{requests} requests, {tables} tables, {} events, {problems} problems, {resources} resources",
        events.len()
    );
    let failures = seen.failures.lock().unwrap();
    assert!(
        failures.is_empty(),
        "seed {SEED:#x}: {} failures of {requests}: {:#?}",
        failures.len(),
        &failures[..failures.len().min(5)]
    );
    // None of it was for show.
    assert!(tables > 100, "{tables} tables for {EDITS} edits");
    assert!(problems > 30, "{problems} problems reported");
    assert!(requests > 5000, "{requests} requests");
    let (v1, v2) = (seen.v1.load(Ordering::Relaxed), seen.v2.load(Ordering::Relaxed));
    assert!(v1 * 10 > requests && v2 * 10 > requests, "{v1} and {v2} of {requests}");
    assert!(backends.iter().all(|backend| backend.hits() > 100), "a backend was hardly asked");
    assert!(events.iter().all(|event| event.rejected.is_empty()), "the proxy refused something");
}
