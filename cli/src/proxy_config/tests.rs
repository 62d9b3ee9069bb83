//! Against a gateway in this process, by its own admin port.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::net::TcpStream;

use super::*;
use crate::kubernetes::Connection;
use crate::terminal::Paint;

struct Direct(SocketAddr);

impl Transport for Direct {
    fn connect<'a>(&'a self, _: &'a Pod, _: u16) -> BoxFuture<'a, anyhow::Result<Connection>> {
        Box::pin(async move { Ok(Box::pin(TcpStream::connect(self.0).await?) as Connection) })
    }
}

fn pod() -> Pod {
    Pod { namespace: "edge".to_owned(), name: "edge-0".to_owned() }
}

const CONFIG: &str = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 18080, name: http, protocol: HTTP}
      hosts: ['*']
    - port: {number: 18443, name: https, protocol: HTTPS}
      hosts: [shop.test]
      tls: {mode: SIMPLE, credentialName: shop}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web, namespace: istio-system}
spec:
  hosts: [web.test]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, labels: {version: v1}}, {address: 127.0.0.2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: istio-system}
spec:
  hosts: [shop.test]
  gateways: [g]
  http:
    - match: [{uri: {prefix: /cart}, headers: {x-a: {exact: b}}}]
      route: [{destination: {host: web.test}}]
    - redirect: {uri: /}
";

/// As by `sluice-gateway admin --pipe` in the pod.
struct Socket(std::path::PathBuf);

impl Transport for Socket {
    fn connect<'a>(&'a self, _: &'a Pod, _: u16) -> BoxFuture<'a, anyhow::Result<Connection>> {
        Box::pin(async move {
            // From another process, as it is there: the gateway's own may not.
            let mut child = tokio::process::Command::new("python3")
                .args(["-c", PIPE])
                .arg(&self.0)
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()?;
            let (out, into) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
            Ok(Box::pin(tokio::io::join(out, into)) as Connection)
        })
    }
}

const PIPE: &str = "\
import socket, sys, threading
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
def out():
    while data := s.recv(4096):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
threading.Thread(target=out, daemon=True).start()
while data := sys.stdin.buffer.read1(4096):
    s.sendall(data)
";

async fn gateway() -> ((gateway::Gateway, tempfile::TempDir), SocketAddr) {
    let directory = tempfile::tempdir().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let free = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let config = gateway::Config {
        threads: 1,
        bind: Some([127, 0, 0, 1].into()),
        admin: free,
        metrics: free,
        ready: free,
        port_map: [(18080, 0), (18443, 0)].into(),
        admin_socket: Some(directory.path().join("admin.sock")),
        allow_endpoints: vec!["loopback".parse().unwrap()],
        ..gateway::Config::default()
    };
    let gateway = gateway::start(config).await.unwrap();
    let extra = vec![controller::FileChange::from_text("all.yaml", CONFIG)];
    let options = controller::Options { extra, ..controller::Options::default() };
    let (engine, step) = controller::Controller::once(options).unwrap();
    assert_eq!(engine.store().len(), 3, "{:?}", engine.problems());
    let applied = gateway.apply(step.delta).await;
    assert!(applied.rejected.is_empty(), "{:?}", applied.rejected);
    let admin = gateway.addresses().admin.unwrap();
    ((gateway, directory), admin)
}

fn shown(shown: &Shown) -> String {
    shown.table.render(Paint::new(false))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_says_what_it_has_in_force() {
    let (_gateway, admin) = gateway().await;
    let asked = tokio::time::timeout(Duration::from_secs(20), fetch(&Direct(admin), &pod(), 15000)).await;
    let dump = asked.unwrap().unwrap();

    let listeners = rows::listeners(&dump, &rows::ListenerFilter::default());
    let text = shown(&listeners);
    assert!(text.contains("plaintext        Route: http.18080"), "{text}");
    assert!(text.contains("SNI: shop.test") && text.contains("kubernetes://shop (not usable"), "{text}");
    let only = rows::listeners(&dump, &rows::ListenerFilter { kind: Some("http"), ..Default::default() });
    assert_eq!(only.data.as_array().unwrap().len(), 1);

    let routes = rows::routes(&dump, Some("http.18080"), Some("shop.test"));
    let text = shown(&routes);
    assert!(
        text.contains("path prefix \"/cart\", header x-a \"b\"") || text.contains("path prefix \"/cart\""),
        "{text}"
    );
    assert!(text.contains("outbound|80||web.test") && text.contains("everything"), "{text}");
    assert!(text.contains("istio-system/web") && text.contains("redirect"), "{text}");

    let clusters = rows::clusters(&dump, &rows::ClusterFilter { fqdn: Some("web"), ..Default::default() });
    assert!(
        shown(&clusters).contains("web.test       80     -        outbound    EDS    HTTP/1.1"),
        "{}",
        shown(&clusters)
    );
    let none = rows::clusters(&dump, &rows::ClusterFilter { port: Some(81), ..Default::default() });
    assert!(none.table.is_empty() && none.data.as_array().unwrap().is_empty());

    let endpoints = rows::endpoints(&dump, &rows::EndpointFilter { address: Some("127.0.0.2"), ..Default::default() });
    let text = shown(&endpoints);
    assert!(text.contains("127.0.0.2:80   HEALTHY   1        0        outbound|80||web.test"), "{text}");
    assert_eq!(endpoints.data[0]["cluster"], "outbound|80||web.test");

    let secrets = rows::secrets(&dump);
    assert!(shown(&secrets).contains("kubernetes://shop   server   NOT USABLE"), "{}", shown(&secrets));

    // What is printed can be read again.
    let again = Dump::read(&serde_json::to_string(&dump.whole).unwrap()).unwrap();
    assert_eq!(
        shown(&rows::endpoints(&again, &Default::default())),
        shown(&rows::endpoints(&dump, &Default::default()))
    );
    assert!(Dump::read("{}").is_err() && Dump::read("no").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_log_is_not_the_gateways_says_so() {
    let (gateway, admin) = gateway().await;
    let error = log::ask(&Direct(admin), &pod(), 15000, Some("debug")).await.unwrap_err();
    assert!(error.to_string().contains("403 Forbidden: what changes something needs the admin socket"), "{error}");
    let socket = Socket(gateway.1.path().join("admin.sock"));
    let error = log::ask(&socket, &pod(), 15000, Some("debug")).await.unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
    let error = log::ask(&Direct(admin), &pod(), 15000, Some("debug&x")).await.unwrap_err();
    assert!(error.to_string().contains("no log filter"), "{error}");
}
