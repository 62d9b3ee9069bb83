//! What translating costs, by the size of objects that are made to cost much. How it grows is a test
//! (`controller/translate/tests/steps.rs`); here is how long it takes.

use divan::Bencher;
use sluice_benches::control;
use translate::{Change, Changes, ProxyScope, Translator, World};

const SIZES: [usize; 2] = [1_000, 4_000];

const GATEWAY: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: shop}
spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
";
const SERVICE: &str = "apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
";

fn main() {
    divan::main();
}

fn list(size: usize, item: impl Fn(usize) -> String) -> String {
    (0..size).map(item).collect::<Vec<_>>().join(", ")
}

fn virtual_service(name: &str, hosts: &str, rules: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: shop}}\nspec: \
         {{hosts: [{hosts}], gateways: [gate], http: [{rules}]}}\n"
    )
}

fn measure(bencher: Bencher<'_, '_>, texts: &[String]) {
    let fixed = [GATEWAY, SERVICE].map(str::to_owned);
    let objects: Vec<Change> = fixed.iter().chain(texts).flat_map(|text| control::objects(text)).collect();
    let (world, _) = World::default().apply(objects);
    bencher.bench_local(|| {
        let mut translator = Translator::new(ProxyScope::default());
        translator.update(&world, &Changes::default())
    });
}

const TO: &str = "route: [{destination: {host: web}}]";

#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn rules(bencher: Bencher<'_, '_>, size: usize) {
    let rules = list(size, |i| format!("{{match: [{{uri: {{exact: /{i}}}}}], {TO}}}"));
    measure(bencher, &[virtual_service("web", "a.test", &rules)]);
}

#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn delegates(bencher: Bencher<'_, '_>, size: usize) {
    let own = list(size, |i| format!("{{headers: {{x-{i}: {{exact: a}}}}}}"));
    let root = list(size, |i| format!("{{uri: {{prefix: /{i}}}}}"));
    let leaf = format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: leaf, namespace: shop}}\nspec: \
         {{http: [{{match: [{own}], {TO}}}]}}\n"
    );
    measure(
        bencher,
        &[leaf, virtual_service("web", "a.test", &format!("{{match: [{root}], delegate: {{name: leaf}}}}"))],
    );
}

#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn subsets(bencher: Bencher<'_, '_>, size: usize) {
    let subsets = list(size, |i| format!("{{name: v{i}, labels: {{v: v{i}}}}}"));
    let rule = format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: web, namespace: shop}}\nspec: \
         {{host: web, subsets: [{subsets}]}}\n"
    );
    let rules = list(size, |i| {
        format!("{{match: [{{uri: {{exact: /{i}}}}}], route: [{{destination: {{host: web, subset: v{i}}}}}]}}")
    });
    measure(bencher, &[rule, virtual_service("web", "a.test", &rules)]);
}

#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn hosts(bencher: Bencher<'_, '_>, size: usize) {
    let hosts = list(size, |i| format!("web-{i}.test"));
    let gateway = GATEWAY.replace("'*'", &hosts);
    measure(bencher, &[gateway, virtual_service("web", &hosts, &format!("{{{TO}}}"))]);
}

#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn ingress_rules(bencher: Bencher<'_, '_>, size: usize) {
    let backend = "backend: {service: {name: web, port: {number: 80}}}";
    let rules =
        list(size, |i| format!("{{host: web-{i}.test, http: {{paths: [{{path: /, pathType: Exact, {backend}}}]}}}}"));
    let ingress = format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: web, namespace: shop}}\nspec: \
         {{ingressClassName: istio, rules: [{rules}]}}\n"
    );
    measure(bencher, &[ingress]);
}
