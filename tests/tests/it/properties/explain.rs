//! What `explain` says about a request is what happens to it on the wire: random configurations and requests.
//!
//! The explanation comes from a controller and a compiler of its own, as `sluice explain` makes it; the wire is a
//! gateway that followed the edits.

use controller::{Controller, Options};
use gateway::explain::{Explanation, Forwarded, Outcome, Question, Verdict, explain};
use gateway::table::Table;
use gateway::table::compile::Compiler;
use sluice_tests::client::{H2, Reply};
use sluice_tests::pki::Pki;
use sluice_tests::{Backend, Edge, H1};

const CONFIGURATIONS: u64 = 60;
const REQUESTS: usize = 40;

/// One of some.
fn one<'a>(random: &mut fastrand::Rng, of: &[&'a str]) -> &'a str {
    of[random.usize(0..of.len())]
}

const HOSTS: &[&str] = &["a.test", "b.test", "'*.test'", "'*.a.test'", "'*'", "x.a.test"];
const PATHS: &[&str] =
    &["/", "/a", "/a/", "/a/b", "/ab", "/b", "/A/b", "/a/b/c", "/b/%61", "/a/../b", "/a//b", "/%2e/a", "/a%00b"];

fn string_match(random: &mut fastrand::Rng, values: &[&str]) -> String {
    let value = one(random, values);
    match random.usize(0..6) {
        0..3 => format!("{{exact: '{value}'}}"),
        3 if !value.is_empty() => format!("{{prefix: '{}'}}", &value[..1]),
        4 => format!("{{regex: '{value}.*'}}"),
        _ => format!("{{regex: '[{value}]+'}}"),
    }
}

fn entry(random: &mut fastrand::Rng) -> String {
    let mut members = Vec::new();
    if random.u32(0..4) > 0 {
        let path = one(random, &["/", "/a", "/a/", "/a/b", "/b", "/A"]);
        members.push(match random.usize(0..6) {
            0 | 1 => format!("uri: {{exact: {path}}}"),
            2 | 3 => format!("uri: {{prefix: {path}}}"),
            4 => format!("uri: {{prefix: {path}}}, ignoreUriCase: true"),
            _ => format!("uri: {{regex: '{path}(/[a-b]+)*'}}"),
        });
    }
    if random.u32(0..5) == 0 {
        members.push(format!("method: {}", string_match(random, &["GET", "POST"])));
    }
    if random.u32(0..4) == 0 {
        let test = if random.bool() { "{}".to_owned() } else { string_match(random, &["1", "2", "12"]) };
        members.push(format!("headers: {{x-{}: {test}}}", one(random, &["a", "b"])));
    }
    if random.u32(0..6) == 0 {
        let test = if random.bool() { "{}".to_owned() } else { string_match(random, &["1", "2"]) };
        members.push(format!("withoutHeaders: {{x-{}: {test}}}", one(random, &["a", "b"])));
    }
    if random.u32(0..5) == 0 {
        let test = if random.bool() { "{}".to_owned() } else { string_match(random, &["1", "2"]) };
        members.push(format!("queryParams: {{{}: {test}}}", one(random, &["q", "r"])));
    }
    if random.u32(0..8) == 0 {
        members.push(format!("authority: {}", string_match(random, &["a.test", "b.test:80"])));
    }
    if random.u32(0..8) == 0 {
        members.push(format!("scheme: {{exact: {}}}", one(random, &["http", "https"])));
    }
    if random.u32(0..10) == 0 {
        members.push(format!("port: {}", one(random, &["8080", "8443"])));
    }
    if members.is_empty() {
        members.push("uri: {prefix: /}".to_owned());
    }
    format!("{{{}}}", members.join(", "))
}

fn action(random: &mut fastrand::Rng) -> String {
    let destination = |random: &mut fastrand::Rng, weight: &str| {
        let host = one(random, &["alpha", "alpha", "beta", "beta", "missing"]);
        let headers = one(random, &["", "", ", headers: {request: {set: {x-low: '1', ':authority': low.test}}}"]);
        format!("{{destination: {{host: {host}.shop.svc.cluster.local}}{headers}{weight}}}")
    };
    match random.usize(0..10) {
        0 => format!(
            "redirect: {{{}}}",
            one(random, &["uri: /new", "authority: z.test", "scheme: https, redirectCode: 307", "port: 8444"])
        ),
        1 | 2 => {
            format!("directResponse: {{status: {}, body: {{string: b{}}}}}", 200 + random.u32(0..4), random.u32(0..99))
        }
        other => {
            let rewrite = one(
                random,
                &[
                    "",
                    "",
                    "rewrite: {uri: /new}, ",
                    "rewrite: {authority: new.test}, ",
                    "rewrite: {uriRegexRewrite: {match: a, rewrite: 'x\\0'}}, ",
                ],
            );
            let route = if other < 7 {
                destination(random, "")
            } else {
                let (first, second) = (random.u32(0..3), random.u32(1..3));
                let first = destination(random, &format!(", weight: {first}"));
                format!("{first}, {}", destination(random, &format!(", weight: {second}")))
            };
            format!("{rewrite}route: [{route}]")
        }
    }
}

fn configuration(random: &mut fastrand::Rng) -> String {
    let mut text = String::new();
    for service in 0..random.usize(1..6) {
        let host = one(random, HOSTS);
        let namespace = one(random, &["shop", "other"]);
        text.push_str(&format!(
            "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: vs-{service}, namespace: \
             {namespace}, creationTimestamp: '2024-01-0{}T00:00:00Z'}}\nspec:\n  hosts: [{host}]\n  gateways: [edge/gate]\n  \
             http:\n",
            random.u32(1..5)
        ));
        for rule in 0..random.usize(1..6) {
            let least = usize::from(random.u32(0..5) > 0);
            let entries: Vec<String> = (0..random.usize(least..3)).map(|_| entry(random)).collect();
            let entries = if entries.is_empty() { String::new() } else { format!("match: [{}], ", entries.join(", ")) };
            let mark = format!("headers: {{request: {{set: {{x-rule: '{service}-{rule}'}}}}}}, ");
            text.push_str(&format!("  - {{{entries}{mark}{}}}\n", action(random)));
        }
    }
    text
}

struct Asked {
    method: &'static str,
    authority: String,
    target: String,
    headers: Vec<(String, String)>,
    /// 8080 in plaintext, 8081 redirecting, 8443 over TLS.
    port: u16,
}

fn request(random: &mut fastrand::Rng) -> Asked {
    let host = one(random, &["a.test", "b.test", "c.test", "x.a.test", "y.a.test", "A.Test"]);
    let port = one(random, &["", "", ":80", ":8080"]);
    let query = one(random, &["", "", "?q=1", "?q=2&r", "?r=12", "?q"]);
    let mut headers = Vec::new();
    for name in ["x-a", "x-b"] {
        for _ in 0..[0, 0, 1, 1, 2][random.usize(0..5)] {
            headers.push((name.to_owned(), one(random, &["1", "2", "12", ""]).to_owned()));
        }
    }
    Asked {
        method: one(random, &["GET", "GET", "POST", "PUT"]),
        authority: format!("{host}{port}"),
        target: format!("{}{query}", one(random, PATHS)),
        headers,
        port: [8080, 8081, 8443, 8443, 8080][random.usize(0..5)],
    }
}

/// As `sluice explain` does it: files read once, translated, compiled.
fn compiled(edge: &Edge) -> std::sync::Arc<Table> {
    let paths = controller::source::Paths { objects: vec![edge.directory().to_owned()], ..Default::default() };
    let (_, step) = Controller::once(Options { paths, ..Options::default() }).unwrap();
    let compiled = Compiler::default().apply(&step.delta);
    assert!(compiled.rejected.is_empty(), "{:?}", compiled.rejected);
    compiled.table
}

fn explained(table: &Table, asked: &Asked) -> Explanation {
    let port = format!("_{}", asked.port);
    let listener = table.listeners().find(|listener| listener.name.as_str().ends_with(&port)).unwrap();
    let question = Question {
        method: asked.method,
        scheme: if asked.port == 8443 { "https" } else { "http" },
        authority: &asked.authority,
        target: &asked.target,
        headers: &asked.headers,
        server_name: asked.authority.split(':').next().unwrap_or_default(),
    };
    explain(table, listener, &question)
}

/// Whether the reply is what was said; if not, what was said.
fn agrees(table: &Table, explanation: &Explanation, reply: &Reply) -> Result<(), String> {
    let location = reply.header("location").unwrap_or_default();
    let same = match &explanation.verdict {
        Verdict::NoRoute => reply.status == 404 && reply.backend().is_empty(),
        Verdict::Refused { status, .. } => reply.status == *status,
        Verdict::HttpsRedirect { location: said } => reply.status == 301 && location == said,
        Verdict::Route(Outcome::Redirect { status, location: said }) => reply.status == *status && location == said,
        Verdict::Route(Outcome::DirectResponse { status, body }) => reply.status == *status && reply.text() == *body,
        Verdict::Route(Outcome::Forward(forwarded)) => forwards(table, forwarded, reply),
        Verdict::HandshakeClosed(_) | Verdict::NoChain | Verdict::Tcp => false,
    };
    if same { Ok(()) } else { Err(format!("{:?}", explanation.verdict)) }
}

/// Whether the reply comes from one of the destinations, and the request was as said.
fn forwards(table: &Table, forwarded: &Forwarded, reply: &Reply) -> bool {
    forwarded.destinations.iter().filter(|share| share.weight > 0 || forwarded.destinations.len() == 1).any(|share| {
        if table.cluster(share.cluster).is_none() {
            return reply.status == 503 && reply.body.is_empty();
        }
        let edits_hold = share.request_edits.iter().all(|edit| {
            let Some((name, value)) = edit.strip_prefix("set ").and_then(|edit| edit.split_once(": ")) else {
                return false;
            };
            reply.seen_header(name) == [value]
        });
        let untouched =
            share.request_edits.iter().any(|edit| edit.contains("x-low")) != reply.seen_header("x-low").is_empty();
        share.cluster_name.as_str().contains(&format!("||{}.", reply.backend()))
            && reply.status == 200
            && reply.seen()["path"] == forwarded.target.as_str()
            && reply.seen_header("host") == [share.authority.as_str()]
            && edits_hold
            && untouched
    })
}

#[tokio::test]
async fn explanations_come_true() {
    let pki = Pki::new();
    let (alpha, beta) = (Backend::start("alpha").await, Backend::start("beta").await);
    let gateway = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}
  - {port: {number: 8081, name: away, protocol: HTTP}, hosts: [a.test, '*.a.test', 'shop/*'], tls: {httpsRedirect: true}}
  - {port: {number: 8443, name: one, protocol: HTTPS}, hosts: [a.test, 'shop/*.a.test'], tls: {mode: SIMPLE, credentialName: a}}
  - {port: {number: 8443, name: two, protocol: HTTPS}, hosts: ['*.test'], tls: {mode: SIMPLE, credentialName: a}}
";
    let mut edge = Edge::start(&[
        gateway.to_owned(),
        pki.issue(&["a.test", "b.test", "c.test", "x.a.test", "y.a.test"]).secret("a"),
        alpha.service_entry(),
        beta.service_entry(),
    ])
    .await;
    let (plain, redirecting, secure) = (edge.port(8080).await, edge.port(8081).await, edge.port(8443).await);
    let mut kinds = std::collections::BTreeMap::<&str, usize>::new();
    for seed in 0..CONFIGURATIONS {
        let mut random = fastrand::Rng::with_seed(seed);
        let text = configuration(&mut random);
        let event = edge.save("random.yaml", &text).await;
        assert_eq!(event.errors, 0, "seed {seed}: {:?}\n{text}", event.problems);
        let table = compiled(&edge);
        let mut h1 = H1::connect(plain).await.unwrap();
        let mut h2 = H2::connect(plain).await.unwrap();
        for number in 0..REQUESTS {
            let asked = request(&mut random);
            let explanation = explained(&table, &asked);
            let headers: Vec<_> = asked.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let host = asked.authority.split(':').next().unwrap_or_default();
            let reply = if asked.port == 8443 {
                // The handshake is part of the question.
                let mut client = H1::connect_tls(secure, host, pki.client(&[])).await.unwrap();
                client.request(asked.method, &asked.authority, &asked.target, &headers, None).await
            } else if asked.port == 8081 {
                let mut client = H1::connect(redirecting).await.unwrap();
                client.request(asked.method, &asked.authority, &asked.target, &headers, None).await
            } else if number % 2 == 0 {
                h1.request(asked.method, &asked.authority, &asked.target, &headers, None).await
            } else {
                h2.request(asked.method, &asked.authority, &asked.target, &headers, None).await
            }
            .unwrap();
            if reply.header("connection") == Some("close") {
                h1 = H1::connect(plain).await.unwrap();
            }
            let kind = match &explanation.verdict {
                Verdict::NoRoute => "no route",
                Verdict::Route(Outcome::Redirect { .. }) => "redirect",
                Verdict::Route(Outcome::DirectResponse { .. }) => "direct response",
                Verdict::Route(Outcome::Forward(_)) => "forward",
                Verdict::Refused { .. } => "refused",
                Verdict::HttpsRedirect { .. } => "https redirect",
                Verdict::HandshakeClosed(_) | Verdict::NoChain | Verdict::Tcp => "no chain",
            };
            *kinds.entry(kind).or_default() += 1;
            if let Err(said) = agrees(&table, &explanation, &reply) {
                let Asked { method, authority, target, headers, port } = asked;
                panic!(
                    "seed {seed}, request {number}: {method} {authority} {target} {headers:?} on {port}\nsaid {said}\n\
                     got {} {:?} {}\n{text}",
                    reply.status,
                    reply.headers,
                    reply.text()
                );
            }
        }
    }
    println!("{kinds:?}");
    for kind in ["no route", "redirect", "direct response", "forward", "refused", "https redirect"] {
        assert!(kinds.get(kind).is_some_and(|count| *count > 50), "hardly any {kind}: {kinds:?}");
    }
}
