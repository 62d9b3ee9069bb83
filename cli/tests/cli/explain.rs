//! `sluice explain`: every step of the answer, for people and for scripts.

use serde_json::Value;

use crate::{directory, sluice};

fn explain(path: &str, request: &[&str]) -> (String, i32) {
    let words: Vec<&str> = ["explain", path, "--"].iter().chain(request).copied().collect();
    let (text, err, code) = sluice(&words);
    assert!(code < 2, "{err}");
    (text, code)
}

fn explain_json(path: &str, request: &[&str]) -> Value {
    let words: Vec<&str> = ["explain", path, "-o", "json", "--"].iter().chain(request).copied().collect();
    serde_json::from_str(&sluice(&words).0).unwrap()
}

#[test]
fn a_forwarded_request_from_listener_to_endpoint() {
    let request = ["GET", "http://web.localhost:8080/api/v1/users", "-H", "x-user: bob", "--from", "10.1.2.3"];
    let (text, code) = explain("examples/routing", &request);
    assert_eq!(code, 0);
    assert_eq!(
        text,
        "\
GET http://web.localhost:8080/api/v1/users  from 10.1.2.3
x-user: bob

listener      0.0.0.0_8080  port 8080
virtual host  web.localhost
path          /api/v1/users
rules         ✗ default/web  health    path: expected exact \"/healthz\", found \"/api/v1/users\"
              ✗ default/web  old-blog  path: expected prefix \"/blog\", found \"/api/v1/users\"
              ✗ default/web  admins    header x-user: expected exact \"admin\", found \"bob\"
              ✗ default/web  admins    query parameter debug: expected exact \"1\", it is absent
              ✓ default/web  api       matches
destination   100 %  outbound|80|stable|api.internal → 127.0.0.1:9001
upstream      /v1/users  host api.internal
              remove cookie
              set x-api: true
response      add x-served-by: api
limits        timeout 2s, 2 retries
"
    );
}

#[test]
fn the_same_as_json() {
    let json = explain_json("examples/routing", &["http://web.localhost:8080/items/12/x?y=1"]);
    assert_eq!(json["request"]["method"], "GET");
    assert_eq!(json["listener"]["port"], 8080);
    assert_eq!(json["virtualHost"], "web.localhost");
    assert_eq!(json["table"], "http.8080");
    let rules = json["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 6);
    assert_eq!(
        (&rules[5]["name"], &rules[5]["matched"], &rules[5]["failure"]),
        (&"items".into(), &true.into(), &Value::Null)
    );
    assert_eq!(rules[0]["object"], "default/web");
    let outcome = &json["outcome"];
    assert_eq!((&outcome["kind"], &outcome["path"]), (&"forward".into(), &"/catalogue/12/x?y=1".into()));
    let destinations = outcome["destinations"].as_array().unwrap();
    assert_eq!((&destinations[0]["share"], &destinations[1]["share"]), (&75.0.into(), &25.0.into()));
    assert_eq!(destinations[1]["endpoints"][0]["address"], "127.0.0.1:9002");
    assert_eq!(destinations[1]["requestEdits"][0], "add x-debug: 1");
}

#[test]
fn answers_of_the_gateway_itself() {
    for (path, url, expected) in [
        (
            "examples/routing",
            "http://web.localhost:8080/blog/x",
            "308 redirect\n              location: http://news.web.localhost:8080/news",
        ),
        ("examples/routing", "http://web.localhost:8080/healthz", "200 direct response\n              \"fine\\n\""),
        (
            "examples/canary",
            "http://shop.localhost:8080/cart?a=b",
            "301 the Gateway redirects plain HTTP to HTTPS\n              location: https://shop.localhost:8080/cart?a=b",
        ),
    ] {
        let (text, code) = explain(path, &[url]);
        assert_eq!(code, 0);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn requests_that_go_nowhere_say_where_they_end() {
    for (path, url, expected) in [
        ("examples/routing", "http://web.localhost:8080/zzz", "404 no rule of the virtual host matches"),
        ("examples/canary", "http://other.test:8080/", "404 no virtual host for other.test:8080"),
        ("examples/canary", "https://other.test:8443/", "no server of the listener has that name"),
        ("examples/canary", "http://shop.localhost:9999/", "nothing listens on port 9999; open are 8080, 8443"),
        ("examples/routing", "https://web.localhost:8080/", "this port serves no TLS"),
        ("examples/canary", "http://shop.localhost:8443/", "this port serves TLS only"),
    ] {
        let (text, code) = explain(path, &[url]);
        assert_eq!(code, 1, "{url}");
        assert!(text.contains(expected), "{url}: {text}");
    }
    let (text, code) = explain("examples/routing", &["http://web.localhost:8080/api/%00"]);
    assert_eq!(code, 1);
    assert!(text.contains("answer        400 "), "{text}");
}

#[test]
fn tls_without_the_secret_is_told_and_gone_on_with() {
    let (text, code) = explain("examples/canary", &["https://shop.localhost:8443/cart", "-H", "x-version: v2"]);
    assert_eq!(code, 0);
    assert!(text.contains("certificate   kubernetes://shop-tls  there is no such Secret here"), "{text}");
    assert!(text.contains("✓ default/shop  testers") && text.contains("100 %  outbound|80|v2|shop.internal"), "{text}");
}

#[test]
fn names_and_end_of_a_certificate_are_told() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["old.test".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 2);
    let certificate = params.self_signed(&key).unwrap().pem();
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop-tls", "namespace": "istio-system"},
        "stringData": {"tls.crt": certificate, "tls.key": key.serialize_pem()},
    });
    let files = directory(&[("secret.json", &secret.to_string())]);
    let path = files.path().to_str().unwrap();
    let (text, err, code) = sluice(&["explain", "examples/canary", path, "--", "https://shop.localhost:8443/"]);
    assert_eq!(code, 0, "{err}");
    assert!(text.contains("kubernetes://shop-tls  for old.test, until 2020-01-02  expired on 2020-01-02"), "{text}");
    assert!(!text.contains("PRIVATE"), "{text}");
}

#[test]
fn a_destination_that_does_not_exist_is_told() {
    let (text, code) = {
        let broken = std::fs::read_to_string(crate::root().join("examples/routing/virtual-service.yaml")).unwrap();
        let gateway = std::fs::read_to_string(crate::root().join("examples/routing/gateway.yaml")).unwrap();
        let files = directory(&[("v.yaml", &broken), ("g.yaml", &gateway)]);
        explain(files.path().to_str().unwrap(), &["http://web.localhost:8080/api/x"])
    };
    assert_eq!(code, 0);
    assert!(text.contains("there is no such service or subset: 503"), "{text}");
}

#[test]
fn a_service_in_front_of_the_gateway_is_looked_through() {
    let text = std::fs::read_to_string(crate::root().join("examples/routing/gateway.yaml")).unwrap();
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: edge, namespace: istio-system}\nspec:\n  selector: \
                   {istio: ingressgateway}\n  ports: [{name: http, port: 80, targetPort: 18080}]\n";
    let routes = std::fs::read_to_string(crate::root().join("examples/routing/virtual-service.yaml")).unwrap();
    let gateway = text.replace("number: 8080", "number: 80");
    let files = directory(&[("g.yaml", &gateway), ("s.yaml", service), ("v.yaml", &routes)]);
    let (text, code) = explain(files.path().to_str().unwrap(), &["http://web.localhost/healthz"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("listener      0.0.0.0_18080  port 18080") && text.contains("200 direct"), "{text}");
}

#[test]
fn the_question_is_read_strictly() {
    for (request, expected) in [
        (&["ftp://x.test/"][..], "http://"),
        (&["GET", "http://x.test/", "-H", "nonsense"], "not a header"),
        (&["GET", "http://x.test/", "--form", "x"], "--form"),
    ] {
        let words: Vec<&str> = ["explain", "examples/canary", "--"].iter().chain(request).copied().collect();
        let (_, err, code) = sluice(&words);
        assert_eq!(code, 2);
        assert!(err.contains(expected), "{err}");
    }
}
