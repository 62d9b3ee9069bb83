//! What a controller writes about objects, as a real API server stores it: every kind, next to what others write, through
//! foreign definitions, and no more often than there is something new.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_tests::kube::ControlPlane;
use sluice_tests::kube::mesh::Mesh;
use sluice_tests::wait::until_within;

const PATIENCE: Duration = Duration::from_secs(30);

/// One of each kind that has conditions, as resource and body.
fn one_of_each(namespace: &str) -> Vec<(&'static str, Value)> {
    let object = |version: &str, kind: &str, spec: Value| json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a", "namespace": namespace}, "spec": spec});
    let networking = |kind: &str, spec: Value| object("networking.istio.io/v1", kind, spec);
    let security = |kind: &str, spec: Value| object("security.istio.io/v1", kind, spec);
    let port = json!({"number": 80, "name": "http", "protocol": "HTTP"});
    let answer = json!({"directResponse": {"status": 200}});
    let selector = json!({"matchLabels": {"app": "a"}});
    vec![
        (
            "gateways",
            networking("Gateway", json!({"selector": {"a": "b"}, "servers": [{"port": port, "hosts": ["*"]}]})),
        ),
        (
            "virtualservices",
            networking("VirtualService", json!({"hosts": ["a.test"], "gateways": ["a"], "http": [answer]})),
        ),
        ("destinationrules", networking("DestinationRule", json!({"host": "a.test"}))),
        (
            "serviceentries",
            networking("ServiceEntry", json!({"hosts": ["a.test"], "ports": [port], "resolution": "DNS"})),
        ),
        ("sidecars", networking("Sidecar", json!({"egress": [{"hosts": ["./*"]}]}))),
        ("workloadentries", networking("WorkloadEntry", json!({"address": "192.0.2.1"}))),
        ("workloadgroups", networking("WorkloadGroup", json!({"template": {"serviceAccount": "a"}}))),
        ("proxyconfigs", object("networking.istio.io/v1beta1", "ProxyConfig", json!({"concurrency": 1}))),
        ("peerauthentications", security("PeerAuthentication", json!({"mtls": {"mode": "STRICT"}}))),
        (
            "requestauthentications",
            security(
                "RequestAuthentication",
                json!({"selector": selector,
            "jwtRules": [{"issuer": "a", "jwksUri": "https://a.test/keys"}]}),
            ),
        ),
        (
            "authorizationpolicies",
            security(
                "AuthorizationPolicy",
                json!({"selector": selector, "action": "ALLOW",
            "rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]}),
            ),
        ),
        ("telemetries", object("telemetry.istio.io/v1", "Telemetry", json!({"accessLogging": [{"disabled": true}]}))),
    ]
}

async fn get(plane: &ControlPlane, what: &str, name: &str, namespace: &str) -> Value {
    let text = plane.kubectl(&["get", what, name, "-n", namespace, "-o", "json"]).await;
    serde_json::from_str(&text).unwrap()
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|one| one["type"] == kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_says_what_became_of_it() {
    // Elsewhere controllers of other tests write status, too.
    let plane = &ControlPlane::start().await;
    let mesh = Mesh::install(plane).await;
    let namespace = mesh.namespace.as_str();
    let objects = one_of_each(namespace);
    for (_, object) in &objects {
        plane.apply(&object.to_string()).await;
    }
    // Somebody else has something to say as well.
    let theirs = json!({"status": {"addresses": [{"value": "240.240.0.1"}], "conditions": [
        {"type": "Healthy", "status": "True", "reason": "Theirs", "message": "ours", "lastTransitionTime": "2026-01-02T03:04:05Z"}]}});
    let patch = ["patch", "serviceentries", "a", "-n", namespace, "--subresource=status", "--type=merge", "-p"];
    plane.kubectl(&[&patch[..], &[&theirs.to_string()]].concat()).await;

    let running = mesh.controller().await;
    for (what, _) in &objects {
        let wait = ["wait", "--for=condition=Accepted", what, "a", "-n", namespace, "--timeout=30s"];
        plane.kubectl(&wait).await;
        let stored = get(plane, what, "a", namespace).await;
        assert_eq!(condition(&stored, "Programmed").unwrap()["status"], "False", "{what}: {stored}");
        assert_eq!(condition(&stored, "Reconciled").unwrap()["message"], "0/0 proxies up to date.");
        assert_eq!(stored["status"]["observedGeneration"], 1, "{what}");
        assert_eq!(stored["status"]["propagation"], json!({"proxies": {"total": 0, "current": 0, "rejected": 0}}));
    }
    let stored = get(plane, "serviceentries", "a", namespace).await;
    assert_eq!(condition(&stored, "Healthy").unwrap()["lastTransitionTime"], "2026-01-02T03:04:05Z", "{stored}");
    assert_eq!(stored["status"]["addresses"][0]["value"], "240.240.0.1");

    // All is said: what comes back from the API server is no news.
    let version = async || {
        let mut versions = Vec::new();
        for (what, _) in &objects {
            versions.push(get(plane, what, "a", namespace).await["metadata"]["resourceVersion"].clone());
        }
        versions
    };
    let before = version().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(version().await, before);

    // A status has no effect on what it is about.
    assert_eq!(get(plane, "virtualservices", "a", namespace).await["metadata"]["generation"], 1);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_of_the_controller_goes_on_where_one_left_off() {
    let plane = &ControlPlane::start().await;
    let mesh = Mesh::install(plane).await;
    let namespace = mesh.namespace.as_str();
    plane.apply(&super::discovery::service(namespace, 200)).await;
    let first = mesh.controller().await;
    let accepted = ["wait", "--for=condition=Accepted", "vs/web", "-n", namespace, "--timeout=30s"];
    plane.kubectl(&accepted).await;
    let before = get(plane, "virtualservices", "web", namespace).await;
    first.end().await;
    // Changed while there is none.
    plane.apply(&super::discovery::service(namespace, 201)).await;
    let second = mesh.controller_with(mesh.options("controller-1")).await;
    let after = until_within("the new generation is looked at", PATIENCE, async || {
        let now = get(plane, "virtualservices", "web", namespace).await;
        (now["status"]["observedGeneration"] == 2).then_some(now)
    })
    .await;
    let since = |object: &Value| condition(object, "Accepted").unwrap()["lastTransitionTime"].clone();
    assert_eq!(since(&before), since(&after), "it was accepted all the time");
    second.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ingresses_are_where_the_gateway_is() {
    let plane = &ControlPlane::start().await;
    let mesh = Mesh::install(plane).await;
    let namespace = mesh.namespace.as_str();
    let ingress = |name: &str, class: &str| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "namespace": namespace, "annotations": {"kubernetes.io/ingress.class": class}},
            "spec": {"defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}}})
        .to_string()
    };
    plane.apply(&ingress("ours", "istio")).await;
    plane.apply(&ingress("theirs", "nginx")).await;
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "istio-ingressgateway", "namespace": namespace},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"a": "b"}}});
    plane.apply(&service.to_string()).await;
    let running = mesh.controller().await;
    let balance = async |list: Value| {
        let status = json!({"status": {"loadBalancer": {"ingress": list}}}).to_string();
        let patch =
            ["patch", "svc", "istio-ingressgateway", "-n", namespace, "--subresource=status", "--type=merge", "-p"];
        plane.kubectl(&[&patch[..], &[&status]].concat()).await;
    };
    let reached = async |at: Option<&str>| {
        let what = format!("reached at {at:?}");
        until_within(&what, PATIENCE, async || {
            let found = get(plane, "ingress", "ours", namespace).await;
            let address = &found["status"]["loadBalancer"]["ingress"][0];
            (address["ip"].as_str().or(address["hostname"].as_str()) == at).then_some(())
        })
        .await;
    };
    balance(json!([{"ip": "192.0.2.7"}])).await;
    reached(Some("192.0.2.7")).await;
    balance(json!([{"hostname": "lb.test"}])).await;
    reached(Some("lb.test")).await;
    let other = get(plane, "ingress", "theirs", namespace).await;
    assert_eq!(other["status"]["loadBalancer"], json!({}), "{other}");
    plane.kubectl(&["delete", "svc", "istio-ingressgateway", "-n", namespace]).await;
    reached(None).await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_says_what_is_wrong_with_its_secret() {
    let plane = &ControlPlane::start().await;
    let mesh = Mesh::install(plane).await;
    let namespace = mesh.namespace.as_str();
    let gateway = json!({"apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {"name": "gate", "namespace": namespace},
        "spec": {"selector": {"edge": namespace}, "servers": [{
            "port": {"number": 8443, "name": "https", "protocol": "HTTPS"}, "hosts": ["web.test"],
            "tls": {"mode": "SIMPLE", "credentialName": "shop"}}]}});
    plane.apply(&gateway.to_string()).await;
    mesh.pod("edge-0", &[("edge", namespace)]).await;
    let running = mesh.controller().await;
    let mut proxy = mesh.proxy(&running, "edge-0").await;
    let first = proxy.push().await;
    proxy.ack(first).await;
    let following = tokio::spawn(proxy.follow());
    let resolved = async |status: &str, reason: &str| {
        let what = format!("ResolvedRefs is {status}: {reason}");
        until_within(&what, PATIENCE, async || {
            let found = get(plane, "gateways", "gate", namespace).await;
            let condition = condition(&found, "ResolvedRefs")?;
            (condition["status"] == status && condition["reason"] == reason).then(|| condition["message"].clone())
        })
        .await
    };
    resolved("False", "UnknownSecret").await;
    let secret = |certificate: &str, key: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop", "namespace": namespace},
            "stringData": {"tls.crt": certificate, "tls.key": key}})
        .to_string()
    };
    let pair = rcgen::generate_simple_self_signed(["web.test".to_owned()]).unwrap();
    let key = pair.signing_key.serialize_pem();
    plane.apply(&secret("nonsense", &key)).await;
    let message = resolved("False", "UnusableSecret").await;
    let message = message.as_str().unwrap();
    assert!(message.starts_with("spec.servers[0].tls.credentialName: secret cannot be used: "), "{message}");
    plane.apply(&secret(&pair.cert.pem(), &key)).await;
    resolved("True", "ResolvedRefs").await;
    // Each was told once, and that it is over.
    until_within("Events", PATIENCE, async || {
        let events = plane.kubectl(&["get", "events.events.k8s.io", "-n", namespace, "-o", "json"]).await;
        let events: Value = serde_json::from_str(&events).unwrap();
        let told = |reason: &str| {
            let items = events["items"].as_array().into_iter().flatten();
            items.filter(|one| one["reason"] == reason && one["regarding"]["name"] == "gate").count()
        };
        (["UnknownSecret", "UnusableSecret", "Accepted"].map(told) == [1, 1, 1]).then_some(())
    })
    .await;
    // No key has found its way into anything that people read.
    let seen = plane.kubectl(&["get", "gateways,events", "-n", namespace, "-o", "json"]).await;
    assert!(!seen.contains("PRIVATE KEY"));
    running.end().await;
    following.abort();
}
