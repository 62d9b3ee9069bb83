//! Controllers that are broken, hostile, or something else altogether: the table in force stays, the proxy stays, and it
//! comes back.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gateway::discovery::Limits;
use gateway::identity::channel::Keepalive;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tonic::{Code, Status};
use wire::discovery::{Resource, ResourceName};

use crate::controller::{Controller, Stream, part};
use crate::mesh::{Mesh, Pod};
use crate::proxy::{Proxy, until};
use crate::resources::{group, shop};

/// A proxy that has something to lose.
async fn serving(limits: Limits) -> (Pod, Controller, Proxy, Stream) {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    let proxy = Proxy::start(gateway::discovery::Options { limits, ..pod.options(&controller) }).await;
    let (mut stream, _) = controller.begin().await;
    stream.push("1", &shop(), &[]).await;
    (pod, controller, proxy, stream)
}

fn failures(proxy: &Proxy, reason: &str) -> f64 {
    proxy.metric(&format!("sluice_discovery_failures_total{{reason=\"{reason}\"}}")).unwrap_or_default()
}

/// Lost nothing, and follows again.
async fn recovered(proxy: &Proxy, controller: &mut Controller, reason: &str) {
    assert_eq!(proxy.status("shop.test").await, Some(299));
    let (mut stream, first) = controller.begin().await;
    assert_eq!(first.initial_resource_versions.len(), 3);
    assert!(failures(proxy, reason) >= 1.0, "{}", proxy.gateway.metrics().text().unwrap());
    let answer = stream.push("1", &[group("shop", 298)], &[]).await;
    assert!(answer.rejected.is_empty());
    assert_eq!(proxy.status("shop.test").await, Some(298));
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_without_end_end_the_stream() {
    let limits = Limits { push_bytes: 1 << 20, ..Limits::default() };
    let (_pod, mut controller, proxy, mut stream) = serving(limits).await;
    let mut sent = 0;
    while stream.send(part("2", &[group(&format!("g{sent}"), 298)], &[], true)).await {
        sent += 1;
        assert!(sent < 10_000, "nothing stops it");
    }
    stream.ended().await;
    assert_eq!(proxy.status("g0.test").await, Some(404));
    recovered(&proxy, &mut controller, "limit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_never_finished_ends_the_stream() {
    let limits = Limits { push_timeout: Duration::from_millis(200), ..Limits::default() };
    let (_pod, mut controller, proxy, mut stream) = serving(limits).await;
    assert!(stream.send(part("2", &[group("a", 298)], &[], true)).await);
    stream.ended().await;
    recovered(&proxy, &mut controller, "timeout").await;
}

/// A controller that a thousand proxies come back to needs its time.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_may_take_any_time_while_it_goes_on() {
    let limits = Limits { push_timeout: Duration::from_millis(500), ..Limits::default() };
    let (_pod, _controller, proxy, mut stream) = serving(limits).await;
    for name in ["a", "b", "c", "d", "e", "f"] {
        assert!(stream.send(part("2", &[group(name, 298)], &[], true)).await);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    stream.push("2", &[group("shop", 298)], &[]).await;
    assert_eq!(proxy.status("shop.test").await, Some(298));
    assert!(failures(&proxy, "timeout") < 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_message_ends_the_stream() {
    let limits = Limits { message_bytes: 64 << 10, ..Limits::default() };
    let (_pod, mut controller, proxy, mut stream) = serving(limits).await;
    let mut huge = part("2", &[group("shop", 298)], &[], false);
    huge.changed[0].body = vec![b' '; 1 << 20].into();
    assert!(stream.send(huge).await);
    stream.ended().await;
    recovered(&proxy, &mut controller, "limit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_parts_end_the_stream() {
    let (_pod, mut controller, proxy, mut stream) = serving(Limits::default()).await;
    let nameless = |key: Option<ResourceName>| {
        let mut response = part("2", &[], &[], false);
        response.changed.push(Resource { key, version: "1".to_owned(), body: "{}".into() });
        response
    };
    let empty = ResourceName { kind: "cluster".to_owned(), name: String::new() };
    let responses = [part("", &[], &[], false), nameless(None), nameless(Some(empty))];
    let count = responses.len();
    for response in responses {
        assert!(stream.send(response).await);
        stream.ended().await;
        stream = controller.begin().await.0;
    }
    assert!(stream.send(part("2", &[], &[], true)).await);
    assert!(stream.send(part("3", &[], &[], false)).await);
    stream.ended().await;
    let all = f64::from(u8::try_from(count).unwrap()) + 1.0;
    until("every one to be counted", async || (failures(&proxy, "malformed") == all).then_some(())).await;
    recovered(&proxy, &mut controller, "malformed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_nonsense_are_refused_one_by_one() {
    let (_pod, _controller, proxy, mut stream) = serving(Limits::default()).await;
    let mut response = part("2", &[group("a", 298), group("b", 298), group("c", 297)], &[], false);
    response.changed[0].body = vec![0xff; 1000].into();
    response.changed[1].body = "[".repeat(10_000).into();
    assert!(stream.send(response).await);
    let answer = stream.request().await;
    let names: Vec<_> = answer.rejected.iter().map(|it| it.key.as_ref().unwrap().name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(answer.rejected.iter().all(|it| it.reason.len() < 1000));
    assert_eq!(proxy.status("c.test").await, Some(297));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_does_not_answer_is_left() {
    let limits = Limits { answer_timeout: Duration::from_millis(200), ..Limits::default() };
    let (_pod, mut controller, proxy, stream) = serving(limits).await;
    controller.behaviour.silent.store(true, Ordering::SeqCst);
    drop(stream);
    until("the wait to be over", async || (failures(&proxy, "timeout") >= 2.0).then_some(())).await;
    controller.behaviour.silent.store(false, Ordering::SeqCst);
    recovered(&proxy, &mut controller, "timeout").await;
}

/// Passes bytes on, until the world goes silent without a word: nothing is closed, nothing arrives.
async fn relay(to: std::net::SocketAddr, silent: tokio::sync::watch::Receiver<bool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(to).await.unwrap();
            let mut silent = silent.clone();
            silent.mark_unchanged();
            tokio::spawn(async move {
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = silent.changed() => std::future::pending().await,
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_dead_is_noticed_though_nobody_says_anything() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    let (hold, silent) = tokio::sync::watch::channel(false);
    let port = relay(controller.socket, silent).await;
    let keepalive = Keepalive { interval: Duration::from_millis(300), timeout: Duration::from_millis(300) };
    let options = gateway::discovery::Options {
        address: format!("localhost:{port}").parse().unwrap(),
        limits: Limits { keepalive, ..Limits::default() },
        ..pod.options(&controller)
    };
    let proxy = Proxy::start(options).await;
    let (mut stream, _) = controller.begin().await;
    stream.push("1", &shop(), &[]).await;
    // Longer than both: whoever answers is left alone.
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(proxy.metric("sluice_discovery_connects_total"), Some(1.0));
    let cut = Instant::now();
    hold.send_replace(true);
    recovered(&proxy, &mut controller, "status").await;
    assert!(cut.elapsed() < Duration::from_secs(3), "{:?}", cut.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_hangs_up_is_not_asked_without_pause() {
    let (_pod, mut controller, proxy, stream) = serving(Limits::default()).await;
    *controller.behaviour.refuse.lock().unwrap() = Some(Status::unavailable("not\nyet"));
    let before = controller.behaviour.asked.load(Ordering::SeqCst);
    let started = Instant::now();
    drop(stream);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let asked = controller.behaviour.asked.load(Ordering::SeqCst) - before;
    assert!((1..=30).contains(&asked), "{asked} times in {:?}", started.elapsed());
    let reason = proxy.admin("/discovery").await["last_failure"]["reason"].to_string();
    assert!(reason.contains("not yet"), "{reason}");
    *controller.behaviour.refuse.lock().unwrap() = None;
    recovered(&proxy, &mut controller, "status").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_ended_with_an_error_is_opened_again() {
    let (_pod, mut controller, proxy, stream) = serving(Limits::default()).await;
    stream.fail(Status::new(Code::ResourceExhausted, "too many proxies")).await;
    recovered(&proxy, &mut controller, "limit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn something_that_is_no_controller_at_all_does_no_harm() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = plain.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let wrong = gateway::discovery::Options {
        address: format!("localhost:{port}").parse().unwrap(),
        ..pod.options(&controller)
    };
    let proxy = Proxy::start(wrong).await;
    until("a failed handshake", async || (failures(&proxy, "tls") >= 1.0).then_some(())).await;
    task.abort();
    until("a refused connection", async || (failures(&proxy, "connect") >= 1.0).then_some(())).await;
    // A controller of the right kind under a name that is not its own.
    let mistaken = gateway::discovery::Options {
        address: format!("127.0.0.1:{}", controller.socket.port()).parse().unwrap(),
        snapshot: None,
        ..pod.options(&controller)
    };
    let second = Proxy::start(mistaken).await;
    until("a failed handshake", async || (failures(&second, "tls") >= 1.0).then_some(())).await;
    assert_eq!(controller.behaviour.asked.load(Ordering::SeqCst), 0);
    let right = gateway::discovery::Options { snapshot: None, ..pod.options(&controller) };
    let third = Proxy::start(right).await;
    controller.begin().await.0.push("1", &shop(), &[]).await;
    assert_eq!(third.status("shop.test").await, Some(299));
}
