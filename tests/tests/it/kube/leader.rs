//! One of several controllers writes, whatever becomes of them: killed, stopped in the middle of anything, resumed.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use controller::leader::{self, Options};
use k8s_openapi::api::coordination::v1::Lease;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use sluice_tests::kube::ControlPlane;
use sluice_tests::wait::until_within;
use tokio_util::sync::CancellationToken;

const CANDIDATE: &str = "SLUICE_TEST_CANDIDATE";

/// Short, so that the test is.
fn options(namespace: &str, identity: &str) -> Options {
    Options {
        namespace: namespace.to_owned(),
        identity: identity.to_owned(),
        lease_duration: Duration::from_secs(3),
        renew_deadline: Duration::from_secs(2),
        retry_period: Duration::from_millis(300),
        ..Options::default()
    }
}

/// A process that writes its name to a file whenever it may.
struct Candidate(Child);

impl Candidate {
    fn start(name: &str, namespace: &str, kubeconfig: &Path, file: &Path) -> Self {
        let task = format!("{name}\n{namespace}\n{}\n{}", kubeconfig.display(), file.display());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "kube::leader::candidate", "--ignored", "--nocapture"]);
        command.env(CANDIDATE, task).stdin(Stdio::piped()).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process that another test starts"]
async fn candidate() {
    let Some(task) = std::env::var_os(CANDIDATE) else { return };
    let task = task.into_string().unwrap();
    let [name, namespace, kubeconfig, file] = task.split('\n').collect::<Vec<_>>().try_into().unwrap();
    // Ends with the test that started it.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let client = Client::try_from(config).unwrap();
    let (leadership, _election) = leader::start(client, options(namespace, name), CancellationToken::new());
    let mut file = OpenOptions::new().append(true).create(true).open(file).unwrap();
    loop {
        // Who is not the leader writes nothing, which is the point.
        let _ = leadership.write(async { file.write_all(format!("{name}\n").as_bytes()) }).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Who wrote, each turn once.
fn turns(file: &PathBuf) -> Vec<String> {
    let mut turns: Vec<String> = std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect();
    turns.dedup();
    turns
}

async fn turn_of(name: &str, file: &PathBuf) -> Duration {
    let start = Instant::now();
    let its_turn = async || turns(file).last().is_some_and(|last| last == name).then_some(());
    until_within(&format!("a turn of {name}"), Duration::from_secs(40), its_turn).await;
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn never_two_write_whatever_becomes_of_them() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("turns");
    let kubeconfig = plane.kubeconfig("admin");
    let start = |name: &str| Candidate::start(name, &namespace, &kubeconfig, &file);
    let one = start("one");
    turn_of("one", &file).await;
    let two = start("two");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(turns(&file), ["one"]);
    // Stopped wherever it is: its lease runs out.
    one.signal("STOP");
    turn_of("two", &file).await;
    one.signal("CONT");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(turns(&file), ["one", "two"], "who wakes up finds that it is not the leader any more");
    two.signal("KILL");
    turn_of("one", &file).await;
    assert_eq!(turns(&file), ["one", "two", "one"]);
    let leases: kube::Api<Lease> = namespace.api();
    let spec = leases.get("sluice-leader").await.unwrap().spec.unwrap();
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("one"), Some(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_hands_over_at_once() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace().await;
    // Leases that would not run out during the test.
    let options = |name: &str| Options {
        lease_duration: Duration::from_secs(120),
        renew_deadline: Duration::from_secs(100),
        ..options(&namespace, name)
    };
    let stop = CancellationToken::new();
    let (one, ended) = leader::start(plane.admin(), options("one"), stop.clone());
    one.watch().wait_for(|held| *held).await.unwrap();
    let (two, _election) = leader::start(plane.admin(), options("two"), CancellationToken::new());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(one.holds() && !two.holds());
    stop.cancel();
    ended.await.unwrap();
    assert!(!one.holds());
    let mut held = two.watch();
    tokio::time::timeout(Duration::from_secs(20), held.wait_for(|held| *held)).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_api_server_nobody_leads_for_long() {
    let plane = ControlPlane::start().await;
    let namespace = plane.namespace().await;
    let (one, _election) = leader::start(plane.admin(), options(&namespace, "one"), CancellationToken::new());
    let mut held = one.watch();
    tokio::time::timeout(Duration::from_secs(20), held.wait_for(|held| *held)).await.unwrap().unwrap();
    let server = plane.api_server();
    // It answers nothing, and refuses nothing.
    server.pause();
    let paused = Instant::now();
    tokio::time::timeout(Duration::from_secs(10), held.wait_for(|held| !*held)).await.unwrap().unwrap();
    // The deadline counts from the last renewal.
    assert!(paused.elapsed() < Duration::from_secs(4) && !one.holds(), "{:?}", paused.elapsed());
    server.resume();
    tokio::time::timeout(Duration::from_secs(30), held.wait_for(|held| *held)).await.unwrap().unwrap();
}
