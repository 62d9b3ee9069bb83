//! Whole texts in, documents out.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::object::{Body, ObjectKind};

const EVERY_FIELD: &str = include_str!("../../testdata/every_field.yaml");
const KUBERNETES: &str = include_str!("../../testdata/kubernetes.yaml");

fn objects(text: &str) -> Vec<Object> {
    read(text)
        .into_iter()
        .map(|document| match document.outcome {
            Outcome::Object(object) => object,
            other => panic!("not an object: {other:?}"),
        })
        .collect()
}

/// `line:column length path: message` of every mistake, and the object's name in front where known.
fn mistakes(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for document in read(text) {
        let Outcome::Failed(failure) = document.outcome else { continue };
        for error in failure.errors {
            let Position { line, column, length, .. } = error.position;
            let name = failure.object.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
            found.push(format!("{line}:{column}+{length} {name}: {error}"));
        }
    }
    found
}

fn virtual_service(spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: web\n  namespace: shop\nspec:\n{spec}"
    )
}

#[test]
fn every_field_of_every_kind_is_read() {
    let objects = objects(EVERY_FIELD);
    let keys: Vec<String> = objects.iter().map(|object| object.key().to_string()).collect();
    assert_eq!(
        keys,
        [
            "Gateway edge/every",
            "VirtualService shop/every",
            "DestinationRule shop/every",
            "ServiceEntry shop/every",
            "Sidecar shop/every",
            "WorkloadEntry shop/every",
            "WorkloadGroup shop/every",
            "ProxyConfig shop/every",
            "PeerAuthentication shop/every",
            "RequestAuthentication shop/every",
            "AuthorizationPolicy shop/every",
            "Telemetry shop/every",
        ]
    );
    for object in &objects {
        let spec = match &object.body {
            Body::Gateway(spec) => serde_json::to_value(spec),
            Body::VirtualService(spec) => serde_json::to_value(spec),
            Body::DestinationRule(spec) => serde_json::to_value(spec),
            Body::ServiceEntry(spec) => serde_json::to_value(spec),
            Body::Sidecar(spec) => serde_json::to_value(spec),
            Body::WorkloadEntry(spec) => serde_json::to_value(spec),
            Body::WorkloadGroup(spec) => serde_json::to_value(spec),
            Body::ProxyConfig(spec) => serde_json::to_value(spec),
            Body::PeerAuthentication(spec) => serde_json::to_value(spec),
            Body::RequestAuthentication(spec) => serde_json::to_value(spec),
            Body::AuthorizationPolicy(spec) => serde_json::to_value(spec),
            Body::Telemetry(spec) => serde_json::to_value(spec),
            other => panic!("{other:?}"),
        };
        let unset = unset(&spec.unwrap());
        assert_eq!(unset, Vec::<String>::new(), "{}", object.key());
    }
}

/// Paths of fields that have no value.
fn unset(value: &Value) -> Vec<String> {
    fn walk(path: &str, value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Null => found.push(path.to_owned()),
            Value::String(text) if text.is_empty() => found.push(path.to_owned()),
            Value::Array(items) if items.is_empty() => found.push(path.to_owned()),
            Value::Object(fields) if fields.is_empty() => found.push(path.to_owned()),
            Value::Array(items) => items.iter().for_each(|item| walk(&format!("{path}[]"), item, found)),
            Value::Object(fields) => {
                fields.iter().for_each(|(key, value)| walk(&format!("{path}.{key}"), value, found))
            }
            // StringMatch leaves out what is not given.
            Value::String(_) | Value::Number(_) | Value::Bool(_) => {}
        }
    }
    let mut found = Vec::new();
    walk("", value, &mut found);
    found
}

#[test]
fn kubernetes_objects_are_read_and_lists_unpacked() {
    let objects = objects(KUBERNETES);
    let keys: Vec<String> = objects.iter().map(|object| object.key().to_string()).collect();
    assert_eq!(
        keys,
        [
            "Service default/web",
            "EndpointSlice shop/web-1",
            "Secret istio-system/cert",
            "ConfigMap istio-system/istio",
            "Pod shop/web-a",
            "Namespace shop",
            "Node n1",
            "Ingress shop/web",
            "IngressClass sluice"
        ]
    );
    assert_eq!(objects[0].meta.created, Some(1_767_323_045));
    let Body::Secret(secret) = &objects[2].body else { panic!() };
    assert_eq!(secret.data["tls.crt"].as_bytes(), b"cert");
    assert_eq!(secret.data["tls.key"].as_bytes(), b"new", "stringData wins");
    let Body::Pod(pod) = &objects[4].body else { panic!() };
    assert_eq!(pod.addresses, ["10.0.0.1", "fd00::1"]);
}

#[test]
fn positions_of_list_items_are_those_of_the_text() {
    let documents = read(KUBERNETES);
    let port = documents[0].spans.locate("spec.ports[1].targetPort");
    assert_eq!((port.line, &KUBERNETES[port.offset..port.offset + port.length]), (15, "metrics"));
}

#[test]
fn json_is_yaml() {
    let text = "{\n\t\"apiVersion\": \"networking.istio.io/v1\",\n\t\"kind\":\"ServiceEntry\",\n\t\"metadata\":{\"name\":\"a\"},\n\t\"spec\":{\"hosts\":[\"a.b\"]}\n}\n";
    assert_eq!(objects(text)[0].key().to_string(), "ServiceEntry default/a");
}

#[test]
fn other_kinds_are_skipped_by_name() {
    let text = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: a, namespace: b}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: c}\n---\n# nothing\n---\nnull\n";
    let found: Vec<String> = read(text)
        .into_iter()
        .map(|document| match document.outcome {
            Outcome::Skipped { api_version, kind, name } => format!("{api_version} {kind} {name}"),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(found, ["gateway.networking.k8s.io/v1 Gateway b/a", "apps/v1 Deployment c", "Empty"]);
}

#[test]
fn mistakes_are_found_where_they_are() {
    let cases: &[(&str, &[&str])] = &[
        (
            "  hosts: [a]\n  http:\n  - nonsense: 1\n    mach: []\n",
            &[
                "9:5+8 VirtualService shop/web: spec.http[0].nonsense: unknown field",
                "10:5+4 VirtualService shop/web: spec.http[0].mach: unknown field; did you mean \"match\"?",
            ],
        ),
        (
            "  http:\n  - route:\n    - weight: \"90\"\n    match:\n    - uri: {exact: 1}\n",
            &[
                "9:15+4 VirtualService shop/web: spec.http[0].route[0].weight: expected a whole number, found the text \"90\"",
                "11:20+1 VirtualService shop/web: spec.http[0].match[0].uri.exact: expected text, found the number 1; put it in quotes",
            ],
        ),
        (
            "  http:\n  - match:\n    - headers:\n        x-on: {exact: on}\n",
            &[
                "10:23+2 VirtualService shop/web: spec.http[0].match[0].headers.x-on.exact: expected text, found the boolean true; put it in quotes",
            ],
        ),
        ("  hosts: a\n", &["7:10+1 VirtualService shop/web: spec.hosts: expected a list, found the text \"a\""]),
        ("  hosts: [a, null]\n", &["7:14+4 VirtualService shop/web: spec.hosts[1]: expected text, found nothing"]),
        (
            "  http:\n  - redirect: {derivePort: FROM_PORT}\n",
            &[
                "8:28+9 VirtualService shop/web: spec.http[0].redirect.derivePort: the text \"FROM_PORT\" is not allowed here, expected one of FROM_PROTOCOL_DEFAULT, FROM_REQUEST_PORT",
            ],
        ),
        (
            "  hosts: [a]\n  gateways: [b]\n  hosts: [c]\n",
            &["9:3+5 VirtualService shop/web: spec.hosts: the key is already given in line 7"],
        ),
        (
            "  hosts:\n  - *.example.com\n",
            &[
                "8:5+13 VirtualService shop/web: spec.hosts[0]: YAML takes *.example.com for a reference to an anchor: quote it, as \"*.example.com\"",
            ],
        ),
        (
            "  hosts: [a]\nstats: 1\n",
            &["8:1+5 VirtualService shop/web: stats: unknown field; did you mean \"status\"?"],
        ),
    ];
    for (spec, expected) in cases {
        let found = mistakes(&virtual_service(spec));
        assert_eq!(found, *expected, "{spec}");
    }
}

#[test]
fn identities_are_checked() {
    let cases: &[(&str, &[&str])] = &[
        ("a: 1\n", &["1:1+1 ?: apiVersion is missing", "1:1+1 ?: kind is missing"]),
        ("just text\n", &["1:1+9 ?: expected an object with apiVersion, kind and metadata"]),
        ("apiVersion: v1\nkind: Service\nmetadata: {}\nspec: {}\n", &["3:1+8 ?: metadata: name is missing"]),
        ("apiVersion: v1\nkind: Service\nspec: {}\n", &["1:1+10 ?: metadata is missing"]),
        (
            "apiVersion: networking.istio.io/v2\nkind: Gateway\nmetadata: {name: a}\n",
            &[
                "1:13+22 Gateway default/a: apiVersion: version v2 of Gateway is not served; served are: v1, v1beta1, v1alpha3",
            ],
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {version: 1}}\n",
            &["3:39+1 ?: metadata.labels.version: expected text, found the number 1; put it in quotes"],
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a, creationTimestamp: yesterday}\n",
            &[
                "3:40+9 Service default/a: metadata.creationTimestamp: \"yesterday\" is not a time such as 2026-01-31T12:00:00Z",
            ],
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{prot: 1, port: 80}]}\n",
            &["4:17+4 Service default/a: spec.ports[0].prot: unknown field"],
        ),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {tls.key: hunter2!}\n",
            &["4:17+8 Secret default/a: data[tls.key]: the value is not base64; plain text goes to stringData"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(mistakes(text), *expected, "{text}");
    }
}

#[test]
fn a_broken_document_hides_no_other() {
    let good = |name: &str| virtual_service("  hosts: [a]\n").replace("name: web", &format!("name: {name}"));
    let text = format!("{}---\n{}---\n{}", good("first"), virtual_service("  hosts: [a\n  http: {]\n"), good("third"));
    let found: Vec<String> = read(&text)
        .into_iter()
        .map(|document| match document.outcome {
            Outcome::Object(object) => object.key().to_string(),
            Outcome::Failed(failure) => {
                let error = &failure.errors[0];
                format!(
                    "{} {}:{} {}",
                    failure.object.unwrap(),
                    error.position.line,
                    error.position.column,
                    error.syntax
                )
            }
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(found, ["VirtualService shop/first", "VirtualService shop/web 16:7 true", "VirtualService shop/third"]);
}

#[test]
fn bare_stars_are_told_to_be_quoted() {
    for hosts in ["  hosts:\n  - *\n", "  hosts: [*]\n", "  hosts: [*.a.com, b]\n", "  hosts: @a\n", "  hosts: `a`\n"] {
        let found = mistakes(&virtual_service(hosts));
        assert_eq!(found.len(), 1, "{hosts} {found:?}");
        assert!(found[0].contains("quote it"), "{hosts} {found:?}");
    }
}

#[test]
fn aliases_and_merge_keys_work_within_limits() {
    let text = virtual_service(
        "  hosts: [a]\n  http:\n  - &base\n    name: one\n    timeout: 1s\n  - <<: *base\n    name: two\n",
    );
    let Body::VirtualService(spec) = &objects(&text)[0].body else { panic!() };
    assert_eq!((spec.http[1].name.as_deref(), spec.http[1].timeout.as_deref()), (Some("two"), Some("1s")));

    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let previous = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
    }
    assert!(mistakes(&bomb)[0].contains("more than 200000 values"));
    assert!(mistakes("a: &a [*a]\n")[2].contains("inside of what it refers to"));
    assert!(!mistakes(&"[".repeat(100_000)).is_empty());
    assert!(!mistakes(&format!("a: {}1{}", "[".repeat(65), "]".repeat(65))).is_empty());
    assert!(mistakes(&format!("a: \"{}\"", "x".repeat(MAX_DOCUMENT_BYTES)))[0].contains("larger than"));
}

#[test]
fn null_fields_are_absent_ones() {
    let text =
        virtual_service("  hosts: null\n  http:\n  - timeout: null\n    match:\n    - headers: {x: null, y: {}}\n");
    let Body::VirtualService(spec) = &objects(&text)[0].body else { panic!() };
    assert_eq!(spec.http[0].matches[0].headers.keys().collect::<Vec<_>>(), ["y"]);
}

#[test]
fn fields_are_located() {
    let text = virtual_service(
        "  hosts: [a]\n  http:\n  - match:\n    - headers:\n        x.y: {exact: z}\n    timeout: 1s\n",
    );
    let document = &read(&text)[0];
    let at = |path: &str| {
        let position = document.spans.locate(path);
        (position.line, position.column, &text[position.offset..position.offset + position.length])
    };
    assert_eq!(at("spec.http[0].timeout"), (12, 14, "1s"));
    assert_eq!(at("spec.http[0].match[0].headers.x.y.exact"), (11, 22, "z"));
    assert_eq!(at("spec.http[0].match[0].headers[x.y].exact"), (11, 22, "z"));
    assert_eq!(at("spec.http[0].match[0].headers[\"x.y\"]"), (11, 9, "x.y"));
    assert_eq!(at("spec.http[0].match"), (9, 5, "match"));
    assert_eq!(at("spec.http[0].retries.attempts"), (9, 5, "match"));
    assert_eq!(at("spec.tcp[3]"), (6, 1, "spec"));
    assert_eq!(at("spec.http[7].x"), (8, 3, "http"));
    assert_eq!(at(""), (1, 1, "apiVersion"));
}

#[test]
fn mesh_config_lists_what_it_does_not_know() {
    let text = "accessLogFile: /dev/stdout\nrocket: 1\ndefaultConfig:\n  gatewayTopology: {numTrustedProxies: 2, moon: 1}\n  tracing: {sampling: 1}\nextensionProviders:\n- name: x\n  prometheus: {}\nmeshMTLS: {minProtocolVersion: TLSV1_3}\n";
    let read = read_mesh_config(text).unwrap();
    assert_eq!(read.unknown, ["defaultConfig.gatewayTopology.moon", "rocket"]);
    assert_eq!(read.config.default_config.unwrap().gateway_topology.unwrap().num_trusted_proxies, Some(2));
    assert_eq!(read.spans.locate("rocket").line, 2);
    let errors = read_mesh_config("enableTracing: maybe\n").unwrap_err();
    assert_eq!(errors[0].to_string(), "enableTracing: expected true or false, found the text \"maybe\"");
    assert!(read_mesh_config("").unwrap().unknown.is_empty());
}

#[test]
fn mesh_config_in_a_config_map_is_located() {
    let text = "# é\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  other: x\n  mesh: |-\n\n    connectTimeout: 10é\n    defaultConfig:\n      gatewayTopology: {numTrustedProxies: 2}\n";
    let document = &read(text)[0];
    let at = |path: &str| {
        let position = document.spans.locate(path);
        (position.line, position.column, &text[position.offset..position.offset + position.length])
    };
    assert_eq!(at("data.mesh.connectTimeout"), (9, 21, "10é"));
    assert_eq!(at("data.mesh.defaultConfig.gatewayTopology.numTrustedProxies"), (11, 44, "2"));
    assert_eq!(at("data.mesh.none"), (7, 3, "mesh"));
    assert_eq!(at("data.other"), (6, 10, "x"));
    let inner = read_mesh_config("connectTimeout: 1s\n").unwrap();
    assert_eq!(Spans::of_mesh_config(&inner.spans).locate("data.mesh.connectTimeout").column, 17);
}

#[test]
fn kinds_know_their_own_names() {
    for kind in ObjectKind::ALL {
        assert!(!kind.versions().is_empty() && kind.to_string() == kind.as_str());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_text_never_panics(text in "\\PC{0,200}") {
        let _ = read(&text);
        let _ = read_mesh_config(&text);
    }

    #[test]
    fn yaml_like_text_never_panics(pieces in proptest::collection::vec("(---|[-:?&*!|>'\"%@`{}\\[\\], #\n\t]|<<|a|é|1|  )", 0..60)) {
        let text = pieces.concat();
        for document in read(&text) {
            let _ = document.spans.locate("a[0].a.é");
        }
    }

    #[test]
    fn mutated_documents_never_panic(at in 0..EVERY_FIELD.len(), cut in 0usize..40, insert in "\\PC{0,4}") {
        let mut start = at;
        while !EVERY_FIELD.is_char_boundary(start) { start -= 1 }
        let mut end = (start + cut).min(EVERY_FIELD.len());
        while !EVERY_FIELD.is_char_boundary(end) { end += 1 }
        let text = format!("{}{insert}{}", &EVERY_FIELD[..start], &EVERY_FIELD[end..]);
        for document in read(&text) {
            if let Outcome::Failed(failure) = document.outcome {
                prop_assert!(!failure.errors.is_empty());
                for error in failure.errors {
                    let Position { line, column, offset, length } = error.position;
                    prop_assert!(line >= 1 && column >= 1 && text.get(offset..offset + length).is_some());
                }
            }
        }
    }
}
