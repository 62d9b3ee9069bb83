//! Commands that ask a cluster, against a real API server. There is no kubelet, and so nothing is forwarded to pods.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use sluice_tests::kube::ControlPlane;

use crate::{directory, root};

const OBJECTS: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: istio-system}
---
apiVersion: v1
kind: Namespace
metadata: {name: edge}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: edge}
---
apiVersion: v1
kind: Pod
metadata: {name: edge-0, namespace: edge, labels: {istio: ingressgateway}}
spec:
  automountServiceAccountToken: false
  containers: [{name: istio-proxy, image: none}]
---
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{name: web, port: 80}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: web, port: 8080, protocol: TCP}]
endpoints: [{addresses: [10.7.0.1], conditions: {ready: true}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [shop/*]
    - port: {number: 443, name: https, protocol: HTTPS}
      hosts: [shop/shop.test]
      tls: {mode: SIMPLE, credentialName: shop}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [shop.test]
  gateways: [edge/gate]
  http:
    - match: [{uri: {prefix: /cart}}]
      route: [{destination: {host: cart}}]
    - route: [{destination: {host: web}}]
";

struct Asking {
    kubeconfig: PathBuf,
}

impl Asking {
    async fn ask(&self, words: &[&str]) -> (String, String, i32) {
        let mut command = Command::cargo_bin("sluice").unwrap();
        command.current_dir(root()).args(words).env("KUBECONFIG", &self.kubeconfig).env_remove("SLUICE_OUTPUT");
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr), output.status.code().unwrap())
    }

    async fn json(&self, words: &[&str], code: i32) -> Value {
        let (out, err, found) = self.ask(&[words, &["-o", "json"]].concat()).await;
        assert_eq!(found, code, "{words:?}: {out}{err}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"))
    }
}

fn texts<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|one| one[field].as_str().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_asked() {
    let plane = ControlPlane::start().await;
    let admin = Asking { kubeconfig: plane.kubeconfig("admin") };
    let stranger = Asking { kubeconfig: plane.kubeconfig("stranger") };

    // Before anything is installed.
    let checked = admin.json(&["check", "--pre"], 0).await;
    assert_eq!(checked["installable"], true);
    let text = checked.to_string();
    assert!(text.contains("none of Istio's is there yet") && text.contains("no other one runs"), "{text}");
    let (out, err, code) = stranger.ask(&["check", "--pre"]).await;
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("you may not create customresourcedefinitions") && out.contains("→ install as"), "{out}");

    plane.apply_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/base/files/crds")).await;
    plane.apply(OBJECTS).await;
    let checked = admin.json(&["check", "--pre"], 0).await.to_string();
    assert!(checked.contains("all 12 are there") && checked.contains("istio-system is there"), "{checked}");

    analyzed(&admin).await;
    explained(&admin).await;
    compared(&admin).await;

    let (_, err, code) = stranger.ask(&["analyze", "-A"]).await;
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("VirtualService objects are left out: you may not list them"), "{err}");
    let (_, err, code) = admin.ask(&["status"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("no controller runs in namespace istio-system"), "{err}");
    let (_, err, code) = admin.ask(&["proxy-config", "listener", "edge-0.edge"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("port 15000 of pod edge-0.edge cannot be reached"), "{err}");
    // By what it belongs to.
    let (_, err, _) = admin.ask(&["proxy-config", "listener", "svc/edge.edge"]).await;
    assert!(err.contains("port 15000 of pod edge-0.edge cannot be reached"), "{err}");
    for (words, why) in [
        ("deployment/gone", "deployments.apps \"gone\" not found"),
        ("svc/web", "svc/web has no pod in namespace shop"),
        ("gateway/web", "is no type that has pods"),
    ] {
        let (_, err, code) = admin.ask(&["proxy-config", "listener", words, "-n", "shop"]).await;
        assert_eq!(code, 2);
        assert!(err.contains(why) && !err.contains("Status {"), "{err}");
    }
}

async fn analyzed(admin: &Asking) {
    let found = admin.json(&["analyze", "-A"], 79).await;
    let said: Vec<String> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {} {}", one["code"], one["origin"], one["field"]).replace('"', ""))
        .collect();
    for expected in [
        "IST0101 VirtualService shop/web spec.http[0].route[0].destination.host",
        "IST0101 Gateway edge/gate spec.servers[1].tls.credentialName",
        "IST0162 Gateway edge/gate spec.servers[1].port.number",
        "IST0118 Service shop/web spec.ports[0]",
    ] {
        assert!(said.contains(&expected.to_owned()), "{expected} in {said:?}");
    }
    let shop = admin.json(&["analyze", "-n", "shop"], 79).await;
    assert!(texts(&shop, "origin").iter().all(|origin| origin.contains("shop/")), "{shop}");
    // The namespace of the context has nothing wrong.
    let (out, err, code) = admin.ask(&["analyze"]).await;
    assert_eq!((out.as_str(), code), ("", 0));
    assert!(err.contains("No validation issues found when analyzing namespace: default"), "{err}");

    // What a file would heal, and what it would break, with its place.
    let cart = "apiVersion: v1\nkind: Service\nmetadata: {name: cart}\nspec: {ports: [{name: http, port: 80}]}\n";
    let gate =
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: cart}\nspec:\n  host: crat\n";
    let files = directory(&[("cart.yaml", cart), ("rule.yaml", gate)]);
    let path = files.path().to_str().unwrap();
    let (out, _, code) = admin.ask(&["analyze", "-n", "shop", path]).await;
    assert_eq!(code, 0, "{out}");
    let place = format!("Warning [IST0174] (DestinationRule shop/cart {path}/rule.yaml:5:9) ");
    assert!(out.contains(&place) && !out.contains("IST0101"), "{out}");
    let quiet = ["analyze", "-n", "shop", path, "-S", "IST0174=DestinationRule *.shop", "-S", "IST0118=*"];
    let (out, err, code) = admin.ask(&quiet).await;
    assert_eq!((out.as_str(), code), ("", 0), "{err}");
    let (_, _, code) = admin.ask(&["analyze", "-n", "shop", path, "--failure-threshold", "Warning"]).await;
    assert_eq!(code, 79);
}

async fn explained(admin: &Asking) {
    let (out, err, code) = admin.ask(&["explain", "--", "http://shop.test/x"]).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("shop/web") && out.contains("10.7.0.1:8080"), "{out}");
    // The Service in front has another port.
    assert!(out.contains("port 8080"), "{out}");
    let (out, _, code) = admin.ask(&["explain", "--gateway", "edge-0.edge", "--", "http://other.test/"]).await;
    assert_eq!(code, 1, "{out}");
    let (_, err, code) = admin.ask(&["explain", "--gateway", "gone", "--", "http://shop.test/"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("there is no gateway \"gone\"; there are edge-0.edge"), "{err}");
}

async fn compared(admin: &Asking) {
    let text = OBJECTS.split("---\n").find(|text| text.contains("kind: VirtualService")).unwrap();
    let same = directory(&[("web.yaml", text)]);
    let (out, err, code) = admin.ask(&["diff", "-f", same.path().to_str().unwrap()]).await;
    assert_eq!((out.as_str(), code), ("nothing changes for any gateway\n", 0), "{err}");
    let other = directory(&[("web.yaml", &text.replace("/cart", "/basket"))]);
    let path = other.path().to_str().unwrap().to_owned();
    let (out, err, code) = admin.ask(&["diff", "-f", &path]).await;
    assert_eq!(code, 1, "{out}{err}");
    for line in [
        "gateway edge-0.edge (1 pod)",
        "  ~ routes of shop/web",
        "- http.8080 shop.test: /cart*",
        "+ http.8080 shop.test: /basket*",
    ] {
        assert!(out.contains(line), "{line} in {out}");
    }
    let changes = admin.json(&["diff", "-f", &path], 1).await;
    assert_eq!((&changes[0]["gateway"], &changes[0]["changes"][0]["kind"]), (&"edge-0".into(), &"changed".into()));
    let wrong = directory(&[("web.yaml", &text.replace("prefix: /cart", "regex: '('"))]);
    let (_, err, code) = admin.ask(&["diff", "-f", wrong.path().to_str().unwrap()]).await;
    assert_eq!(code, 2);
    assert!(err.contains("web.yaml:8:") && err.contains("VirtualService shop/web"), "{err}");
}

#[tokio::test]
async fn without_a_cluster_it_is_said_how_to_name_one() {
    let nowhere = Asking { kubeconfig: PathBuf::from("/no/such/kubeconfig") };
    for words in
        [&["analyze"][..], &["status"], &["diff", "-f", "."], &["check", "--pre"], &["explain", "--", "http://a/"]]
    {
        let (out, err, code) = nowhere.ask(words).await;
        assert_eq!((out.as_str(), code), ("", 2), "{words:?}: {err}");
        assert!(err.contains("--kubeconfig"), "{words:?}: {err}");
    }
    let (_, err, code) = nowhere.ask(&["analyze", "--context", "x"]).await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("context \"x\""), "{err}");
}

#[tokio::test]
async fn files_alone_need_no_cluster() {
    let nowhere = Asking { kubeconfig: PathBuf::from("/no/such/kubeconfig") };
    let (out, err, code) = nowhere.ask(&["analyze", "--use-kube=false", "examples/routing"]).await;
    assert_eq!((out.as_str(), code), ("", 0), "{err}");
    let broken = directory(&[("a.yaml", "kind: [x\n")]);
    let path = broken.path().to_str().unwrap();
    let (out, _, code) = nowhere.ask(&["analyze", "--use-kube=false", path]).await;
    assert_eq!(code, 79);
    assert!(out.starts_with(&format!("Error [IST0106] ({path}/a.yaml:")), "{out}");
    let (out, _, code) = nowhere.ask(&["analyze", "-L"]).await;
    assert_eq!(code, 0);
    assert!(out.contains("IST0101   Error     ReferencedResourceNotFound"), "{out}");
    let (out, _, code) = nowhere.ask(&["analyze", "--use-kube=false", path, "-o", "yaml"]).await;
    assert_eq!(code, 79);
    assert!(out.starts_with("- code: IST0106\n"), "{out}");
    assert_eq!(nowhere.ask(&["analyze", "--use-kube=false"]).await.2, 2);
}
