//! `sluice-gateway run` as a process: flags, logs, signals, and a kill in the middle of everything.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::controller::Controller;
use crate::mesh::{Mesh, Pod};
use crate::proxy::until;
use crate::resources::{group, table};

/// Ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Its status and what it logged.
    async fn end(mut self) -> (Option<i32>, String) {
        let status = until("the process to end", async || self.0.try_wait().unwrap()).await;
        let mut text = String::new();
        std::io::Read::read_to_string(&mut self.0.stderr.take().unwrap(), &mut text).unwrap();
        (status.code(), text)
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(pod: &Pod, controller: &str, ready: u16, more: &[&str]) -> Process {
    let child = Command::new(env!("CARGO_BIN_EXE_sluice-gateway"))
        .arg("run")
        .args(["--discovery-address", controller, "--threads", "1", "--bind", "127.0.0.1"])
        .args(["--metrics-address", "127.0.0.1:0"])
        .args(["--ready-address", &format!("127.0.0.1:{ready}")])
        .args(more)
        .env("SLUICE_ROOT_CERT", pod.path("root-cert.pem"))
        .env("SLUICE_TOKEN", pod.path("token"))
        .env("SLUICE_SNAPSHOT_DIR", pod.path("snapshots"))
        .envs([("POD_NAME", "edge-1"), ("POD_NAMESPACE", "edge"), ("SERVICE_ACCOUNT", "gateway")])
        .env("SLUICE_LOG_FORMAT", "json")
        .env("SLUICE_ADMIN_ADDRESS", "127.0.0.1:0")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Process(child)
}

async fn status(port: u16, host: &str, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text).await;
    text.split(' ').nth(1)?.parse().ok()
}

fn listener(port: u16) -> ir::Encoded {
    ir::codec::encode(&ir::Resource::Listener(ir::Listener {
        name: "http".into(),
        bind: ir::Bind::Port(port),
        created: 0,
        plaintext: Some(ir::Chain::Http { table: "table".into() }),
        tls: Vec::new(),
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_follows_drains_and_serves_its_snapshot_after_a_kill() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    let address = controller.address().to_string();
    let (ready, port) = (free_port(), free_port());
    let process = start(&pod, &address, ready, &[]);
    let (mut stream, first) = controller.begin().await;
    assert_eq!(first.node.unwrap().service_account, "gateway");
    assert_eq!(status(ready, "localhost", "/healthz/ready").await, Some(503));
    stream.push("1", &[listener(port), table(), group("shop", 299)], &[]).await;
    assert_eq!(status(port, "shop.test", "/").await, Some(299));
    assert_eq!(status(ready, "localhost", "/healthz/ready").await, Some(200));
    until("the snapshot", async || pod.path("snapshots/snapshot").exists().then_some(())).await;
    // Killed while it writes, or not: there is always one that is whole.
    for round in 0..40 {
        stream.push(&format!("r{round}"), &[group("shop", 200 + round)], &[]).await;
    }
    process.signal("KILL");
    assert_eq!(process.end().await.0, None);
    drop((stream, controller));

    let started = Instant::now();
    let process = start(&pod, &address, ready, &["--drain-delay", "300ms", "--drain-duration", "1s"]);
    until("what was served", async || {
        let status = status(port, "shop.test", "/").await?;
        assert!(status == 299 || (200..240).contains(&status), "{status}");
        Some(())
    })
    .await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());

    let ending = Instant::now();
    process.signal("TERM");
    until("readiness to go", async || (status(ready, "localhost", "/healthz/ready").await == Some(503)).then_some(()))
        .await;
    assert_eq!(status(port, "shop.test", "/").await.map(|status| status < 300), Some(true), "still accepting");
    let (code, log) = process.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(ending.elapsed() >= Duration::from_millis(300));
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let first = lines.iter().find(|line| line["message"] == "sluice-gateway").unwrap();
    assert_eq!((&first["controller"], &first["namespace"]), (&address.into(), &"edge".into()));
    assert!(lines.iter().any(|line| line["message"] == "snapshot found"), "{log}");
    assert!(!log.contains("token-1") && !log.contains("PRIVATE"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    let ready = free_port();
    let process = start(&pod, &controller.address().to_string(), ready, &["--drain-delay", "1h"]);
    controller.begin().await.0.push("1", &[table()], &[]).await;
    until("readiness", async || (status(ready, "localhost", "/healthz/ready").await == Some(200)).then_some(())).await;
    process.signal("TERM");
    until("readiness to go", async || (status(ready, "localhost", "/healthz/ready").await == Some(503)).then_some(()))
        .await;
    process.signal("TERM");
    assert_eq!(process.end().await.0, Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_logged_can_be_changed_while_it_runs() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    let (ready, admin) = (free_port(), free_port());
    let address = format!("127.0.0.1:{admin}");
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("admin.sock");
    let socket = socket.to_str().unwrap();
    let options = ["--admin-address", &address, "--admin-socket", socket, "--drain-delay", "0"];
    let process = start(&pod, &controller.address().to_string(), ready, &options);
    let mut stream = controller.begin().await.0;
    stream.push("1", &[table()], &[]).await;
    // Whatever reaches the port changes nothing.
    assert_eq!(post(admin, "/logging?level=off").await, Some(403));
    assert!(!asked(socket, "/logging?level=nonsense%3D%3D"));
    assert!(asked(socket, "/logging?level=warn%2Cgateway=debug"));
    stream.push("2", &[group("shop", 299)], &[]).await;
    assert!(asked(socket, "/logging?level=off"));
    stream.push("3", &[group("shop", 298)], &[]).await;
    process.signal("TERM");
    let (code, log) = process.end().await;
    assert_eq!(code, Some(0));
    let pushes: Vec<&str> = log.lines().filter(|line| line.contains("push in force")).collect();
    assert!(pushes.len() == 1 && pushes[0].contains("\"nonce\":\"2\""), "{log}");
}

/// Whether a change through the admin socket was made.
fn asked(socket: &str, path: &str) -> bool {
    let program = env!("CARGO_BIN_EXE_sluice-gateway");
    Command::new(program).args(["admin", "--socket", socket, "--post", path]).status().unwrap().success()
}

async fn post(port: u16, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await.ok()?;
    let request = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text).await;
    text.split(' ').nth(1)?.parse().ok()
}

#[test]
fn a_wrong_flag_is_a_usage_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_sluice-gateway"))
        .args(["run", "--discovery-address", "nowhere"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("host:port"));
}
