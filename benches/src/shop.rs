//! Istio YAML of a shop with any number of services. Everything has a number, and edits have one, too: a different edit
//! is a different text.

use std::fmt::Write as _;

/// A Gateway for every host on plaintext port 8080.
pub const GATEWAY: &str = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 8080, name: http, protocol: HTTP}
    hosts: ['*']
";

/// The host of [`virtual_service`].
#[must_use]
pub fn host(number: usize) -> String {
    format!("shop-{number}.example.com")
}

/// What `/version` of a host answers after an edit.
#[must_use]
pub fn version(edit: usize) -> String {
    format!("edit {edit}")
}

/// A host of its own with three rules, one of them a canary. Every edit changes its weights, which are never zero, and
/// what `/version` answers.
#[must_use]
pub fn virtual_service(number: usize, edit: usize) -> String {
    let (host, backend, version, share) = (host(number), backend(number), version(edit), edit % 99 + 1);
    let rest = 100 - share;
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop-{number}, namespace: shop}}
spec:
  hosts: [{host}]
  gateways: [edge/gate]
  http:
  - match:
    - uri: {{exact: /version}}
    directResponse: {{status: 200, body: {{string: {version}}}}}
  - match:
    - uri: {{prefix: /api/}}
      headers:
        x-canary: {{exact: always}}
    rewrite: {{uri: /}}
    route:
    - destination: {{host: {backend}, subset: v2, port: {{number: 80}}}}
  - route:
    - destination: {{host: {backend}, subset: v1, port: {{number: 80}}}}
      weight: {rest}
    - destination: {{host: {backend}, subset: v2, port: {{number: 80}}}}
      weight: {share}
    timeout: 5s
"
    )
}

/// Where a [`virtual_service`] leads: a ServiceEntry with two versions. Every edit moves one of its endpoints.
#[must_use]
pub fn service_entry(number: usize, edit: usize) -> String {
    let backend = backend(number);
    let (second, third, fourth) = (number / 250 % 250, number % 250, edit % 250 + 1);
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: backend-{number}, namespace: shop}}
spec:
  hosts: [{backend}]
  ports:
  - {{number: 80, name: http, protocol: HTTP}}
  resolution: STATIC
  endpoints:
  - {{address: 10.{second}.{third}.{fourth}, labels: {{version: v1}}}}
  - {{address: 11.{second}.{third}.1, labels: {{version: v2}}}}
"
    )
}

/// The subsets of a [`service_entry`].
#[must_use]
pub fn destination_rule(number: usize) -> String {
    let backend = backend(number);
    format!(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: backend-{number}, namespace: shop}}
spec:
  host: {backend}
  subsets:
  - {{name: v1, labels: {{version: v1}}}}
  - {{name: v2, labels: {{version: v2}}}}
"
    )
}

/// All three objects of a service, as one file.
#[must_use]
pub fn service(number: usize, edit: usize) -> String {
    let (routes, entry, rule) = (virtual_service(number, edit), service_entry(number, 0), destination_rule(number));
    format!("{routes}---\n{entry}---\n{rule}")
}

/// A VirtualService with one rule for a host that all of them share. Every edit changes its answer.
#[must_use]
pub fn sharing(number: usize, edit: usize) -> String {
    let mut text = shared_head(&format!("part-{number}"));
    rule(number, edit, &mut text);
    text
}

/// A VirtualService with very many rules. Every edit changes the answer of the first.
#[must_use]
pub fn big(rules: usize, edit: usize) -> String {
    let mut text = shared_head("big");
    for number in 0..rules {
        rule(number, if number == 0 { edit } else { 0 }, &mut text);
    }
    text
}

fn shared_head(name: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  \
         hosts: [shared.example.com]\n  gateways: [edge/gate]\n  http:\n"
    )
}

fn rule(number: usize, edit: usize, text: &mut String) {
    let version = version(edit);
    let _ = writeln!(
        text,
        "  - match: [{{uri: {{prefix: /api/v1/service-{number}/}}}}]\n    \
         directResponse: {{status: 200, body: {{string: {version}}}}}"
    );
}

fn backend(number: usize) -> String {
    format!("backend-{number}.internal")
}
