//! `sluice run`: follows files, tells what happens, ends politely.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::directory;
use crate::process::{Running, free_port, get};

fn gateway(ports: &[u16]) -> String {
    let mut text =
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n  selector: {istio: \
                    ingressgateway}\n  servers:\n"
            .to_owned();
    for port in ports {
        text.push_str(&format!(
            "    - port: {{number: {port}, name: http-{port}, protocol: HTTP}}\n      hosts: ['*']\n"
        ));
    }
    text
}

fn answering(body: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v}}\nspec:\n  hosts: ['*']\n  \
         gateways: [g]\n  http:\n    - directResponse:\n        status: 200\n        body: {{string: {body}}}\n"
    )
}

/// As editors save.
fn save(path: &Path, text: &str) {
    let draft = path.with_extension("tmp");
    fs::write(&draft, text).unwrap();
    fs::rename(draft, path).unwrap();
}

#[test]
fn every_save_is_served_and_told_and_a_bad_one_changes_nothing() {
    let port = free_port();
    let files = directory(&[("g.yaml", &gateway(&[port])), ("v.yaml", &answering("one"))]);
    let mut sluice = Running::start(files.path(), &["."]);
    let own = sluice.wait_for("/healthz/ready");
    let ready = own.split("http://127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    assert!(sluice.wait_for("serving 2 objects").contains("1 route"));
    assert!(sluice.seen().contains(&format!("listening on 127.0.0.1:{port}")));
    assert!(get(ready, "/healthz/ready").starts_with("HTTP/1.1 200"));
    assert!(get(port, "/").ends_with("one"));

    save(&files.path().join("v.yaml"), &answering("two"));
    let line = sluice.wait_for("changed VirtualService default/v");
    assert!(line.contains("1 route changed") && line.contains("in force after") && line.contains("ms"), "{line}");
    assert!(get(port, "/").ends_with("two"));

    save(&files.path().join("v.yaml"), &answering("three").replace("200", "99"));
    sluice.wait_for("v.yaml:9:17");
    sluice.wait_for("        status: 99");
    sluice.wait_for("                 ^^");
    sluice.wait_for("VirtualService default/v: spec.http[0].directResponse.status");
    sluice.wait_for("held: VirtualService default/v");
    assert!(get(port, "/").ends_with("two"));

    save(&files.path().join("v.yaml"), &answering("four"));
    sluice.wait_for("fixed:");
    assert!(get(port, "/").ends_with("four"));

    fs::remove_file(files.path().join("v.yaml")).unwrap();
    assert!(sluice.wait_for("removed VirtualService default/v").contains("1 route removed"));
    assert!(get(port, "/").starts_with("HTTP/1.1 404"));

    sluice.signal("TERM");
    sluice.wait_for("draining");
    sluice.wait_for("drained");
    assert_eq!(sluice.end().code(), Some(0));
}

#[test]
fn weights_are_told_as_such() {
    let port = free_port();
    let routes = |a: u32, b: u32| {
        answering("x").replace(
            "    - directResponse:\n        status: 200\n        body: {string: x}\n",
            &format!(
                "    - name: split\n      route:\n        - destination: {{host: a.internal}}\n          weight: {a}\n        \
                 - destination: {{host: b.internal}}\n          weight: {b}\n"
            ),
        )
    };
    let files = directory(&[("g.yaml", &gateway(&[port])), ("v.yaml", &routes(90, 10))]);
    let mut sluice = Running::start(files.path(), &["g.yaml", "v.yaml"]);
    sluice.wait_for("serving");
    save(&files.path().join("v.yaml"), &routes(50, 50));
    let line = sluice.wait_for("changed VirtualService");
    assert!(line.contains("split: a.internal 90 → 50, b.internal 10 → 50"), "{line}");
}

#[test]
fn a_port_that_others_hold_costs_that_port_alone() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let (held, free) = (holder.local_addr().unwrap().port(), free_port());
    let files = directory(&[("g.yaml", &gateway(&[held, free])), ("v.yaml", &answering("here"))]);
    let mut sluice = Running::start(files.path(), &["."]);
    let line = sluice.wait_for("error: cannot listen on");
    assert!(line.contains(&held.to_string()) && line.contains("everything else is served"), "{line}");
    sluice.wait_for("serving");
    assert!(get(free, "/").ends_with("here"));
}

#[test]
fn a_taken_port_of_its_own_is_an_error_line_and_the_rest_serves() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let (held, port) = (holder.local_addr().unwrap().port(), free_port());
    let files = directory(&[("g.yaml", &gateway(&[port])), ("v.yaml", &answering("here"))]);
    let mut sluice = Running::start_with(
        files.path(),
        &[".", "--admin-port", &held.to_string()],
        &["--bind", "127.0.0.1", "--metrics-port", "0", "--ready-port", "0"],
    );
    let line = sluice.wait_for("error: the admin port");
    assert!(line.contains(&held.to_string()) && line.contains("--admin-port"), "{line}");
    sluice.wait_for("serving");
    assert!(get(port, "/").ends_with("here"));
}

#[test]
fn a_mesh_configuration_switches_the_access_log_on() {
    let port = free_port();
    let files = directory(&[
        ("g.yaml", &gateway(&[port])),
        ("v.yaml", &answering("here")),
        ("mesh.txt", "accessLogFile: /dev/stdout\n"),
    ]);
    let mut sluice = Running::start(files.path(), &[".", "--mesh-config", "mesh.txt"]);
    sluice.wait_for("serving");
    get(port, "/logged");
    let line = sluice.wait_for("GET /logged");
    assert!(line.contains("HTTP/1.1") && line.contains(" 200 "), "{line}");
}

#[test]
fn other_labels_are_another_gateway() {
    let port = free_port();
    let files = directory(&[("g.yaml", &gateway(&[port])), ("v.yaml", &answering("here"))]);
    let mut sluice = Running::start(files.path(), &[".", "--labels", "istio=egress"]);
    sluice.wait_for("serving 2 objects");
    assert!(!sluice.seen().contains("listening"), "{}", sluice.seen());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn the_second_interrupt_does_not_wait() {
    let port = free_port();
    // Takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = silent.local_addr().unwrap().port();
    let entry = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: s}}\nspec:\n  hosts: [s.internal]\n  \
         resolution: STATIC\n  ports: [{{number: {upstream}, name: http, protocol: HTTP}}]\n  endpoints: [{{address: \
         127.0.0.1}}]\n"
    );
    let route = answering("x").replace(
        "    - directResponse:\n        status: 200\n        body: {string: x}\n",
        "    - route: [{destination: {host: s.internal}}]\n",
    );
    let files = directory(&[("g.yaml", &gateway(&[port])), ("v.yaml", &route), ("s.yaml", &entry)]);
    let mut sluice = Running::start(files.path(), &["."]);
    sluice.wait_for("serving 3 objects");
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").unwrap();
    let (_connection, _) = silent.accept().unwrap();
    sluice.signal("INT");
    assert!(sluice.wait_for("draining").contains("1 connection"));
    std::thread::sleep(Duration::from_millis(200));
    sluice.signal("INT");
    assert_eq!(sluice.end().code(), Some(130));
}

#[test]
fn a_path_that_is_not_there_is_said_so() {
    let (_, err, code) = crate::sluice(&["run", "no/such/dir"]);
    assert_eq!(code, 2);
    assert!(err.contains("no/such/dir"), "{err}");
    let (_, err, code) = crate::sluice(&["run", "examples/canary", "--log", "=="]);
    assert_eq!(code, 2);
    assert!(err.contains("--log"), "{err}");
}
