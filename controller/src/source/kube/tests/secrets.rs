//! Secrets are followed by name, while they are wanted.

use super::server::Fault;
use super::*;

fn tls(name: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop"}, "type": "kubernetes.io/tls", "data": {"tls.key": "b2xk"}})
}

#[tokio::test]
async fn a_wanted_secret_is_answered_and_followed() {
    let server = Server::new();
    server.apply(ObjectKind::Secret, &tls("there"));
    server.apply(ObjectKind::Secret, &tls("never-wanted"));
    let mut bench = Bench::start(server).await;
    bench.want(&["there", "absent"]);
    bench.until(|bench| bench.answered.len() == 2).await;
    assert!(bench.has("Secret shop/there") && !bench.has("Secret shop/absent"));
    bench.server.apply(ObjectKind::Secret, &tls("absent"));
    bench.until(|bench| bench.has("Secret shop/absent")).await;
    bench.server.apply(ObjectKind::Secret, &tls("there"));
    assert_eq!(bench.next().await.answered, []);
    bench.server.delete(ObjectKind::Secret, "shop", "there");
    bench.until(|bench| !bench.has("Secret shop/there")).await;
    assert!(!bench.has("Secret shop/never-wanted"));
    assert_eq!(bench.server.count(&["/api/v1/secrets"]), 0);
    assert_eq!(bench.server.count(&["never-wanted"]), 0);
}

#[tokio::test]
async fn what_is_not_wanted_any_more_is_told_as_deleted_and_not_followed() {
    let server = Server::new();
    server.apply(ObjectKind::Secret, &tls("a"));
    server.apply(ObjectKind::Secret, &tls("b"));
    let mut bench = Bench::start(server).await;
    bench.want(&["a", "b"]);
    bench.until(|bench| bench.objects.len() == 2 && bench.answered.len() == 2).await;
    assert_eq!(bench.count(ObjectKind::Secret), 2);
    bench.want(&["b"]);
    assert_eq!(deleted(&bench.next().await)[0].to_string(), "Secret shop/a");
    assert_eq!(bench.count(ObjectKind::Secret), 1);
    bench.server.apply(ObjectKind::Secret, &tls("a"));
    bench.quiet().await;
    bench.answered.clear();
    bench.want(&["a", "b"]);
    bench.until(|bench| bench.has("Secret shop/a")).await;
    assert_eq!(bench.answered, BTreeSet::from([secret("a")]));
}

#[tokio::test]
async fn wanting_it_off_and_on_ends_with_it() {
    let server = Server::new();
    server.apply(ObjectKind::Secret, &tls("a"));
    let mut bench = Bench::start(server).await;
    for _ in 0..20 {
        bench.want(&["a"]);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..4))).await;
        bench.want(&[]);
        tokio::task::yield_now().await;
    }
    bench.want(&["a"]);
    loop {
        bench.next().await;
        if bench.has("Secret shop/a")
            && tokio::time::timeout(Duration::from_millis(100), bench.batches.recv()).await.is_err()
        {
            break;
        }
    }
    assert_eq!(bench.count(ObjectKind::Secret), 1);
}

#[tokio::test]
async fn a_forbidden_secret_counts_as_answered_and_comes_when_it_is_permitted() {
    let server = Server::new();
    server.apply(ObjectKind::Secret, &tls("a"));
    server.fail(ObjectKind::Secret, Fault::Status(403));
    let mut bench = Bench::start(server).await;
    bench.want(&["a"]);
    bench.until(|bench| !bench.answered.is_empty()).await;
    assert!(!bench.has("Secret shop/a"));
    bench.quiet().await;
    assert!(bench.errors(ObjectKind::Secret, "forbidden") > 1);
    bench.server.heal(ObjectKind::Secret);
    bench.until(|bench| bench.has("Secret shop/a")).await;
}

#[tokio::test]
async fn no_answer_is_made_up_while_the_api_server_is_away() {
    let server = Server::new();
    server.apply(ObjectKind::Secret, &tls("a"));
    server.fail(ObjectKind::Secret, Fault::Cut);
    let mut bench = Bench::start(server).await;
    bench.want(&["a"]);
    bench.quiet().await;
    bench.server.heal(ObjectKind::Secret);
    bench.until(|bench| bench.answered.contains(&secret("a")) && bench.has("Secret shop/a")).await;
    // Nor does it go because permission or server do.
    for fault in [Fault::Status(403), Fault::Cut, Fault::Status(500)] {
        bench.server.fail(ObjectKind::Secret, fault);
        bench.quiet().await;
        assert!(bench.has("Secret shop/a"));
    }
}

#[tokio::test]
async fn too_many_secrets_are_refused_and_served_when_there_is_room() {
    let server = Server::new();
    for name in ["a", "b", "c"] {
        server.apply(ObjectKind::Secret, &tls(name));
    }
    let mut bench = Bench::begin(server, |options| options.max_secrets = 2);
    bench.want(&["a", "b", "c"]);
    bench.until(|bench| bench.answered.len() == 3 && bench.objects.len() == 2).await;
    assert!(!bench.has("Secret shop/c"));
    bench.want(&["b", "c"]);
    bench.until(|bench| bench.has("Secret shop/c") && !bench.has("Secret shop/a")).await;
}
