//! What fails costs nothing that is known.

use super::server::Fault;
use super::*;

#[tokio::test]
async fn a_watch_that_ends_goes_on_where_it_ended() {
    let server = Server::new();
    server.apply(ObjectKind::Gateway, &gateway("edge"));
    let mut bench = Bench::start(server).await;
    bench.requests(&["v1/gateways?", "watch=true"], 1).await;
    bench.server.fail(ObjectKind::Gateway, Fault::Cut);
    bench.server.apply(ObjectKind::Gateway, &gateway("meanwhile"));
    bench.quiet().await;
    bench.server.heal(ObjectKind::Gateway);
    let batch = bench.next().await;
    assert_eq!((batch.events.len(), bench.has("Gateway shop/meanwhile")), (1, true));
    assert_eq!(bench.server.count(&["v1/gateways?", "limit="]), 1, "listed again");
    assert!(bench.errors(ObjectKind::Gateway, "unreachable") > 0);
}

#[tokio::test]
async fn a_watch_that_expired_yields_the_differences() {
    let server = Server::new();
    for name in ["stays", "changes", "goes"] {
        server.apply(ObjectKind::Gateway, &gateway(name));
    }
    let mut bench = Bench::start(server).await;
    bench.requests(&["v1/gateways?", "watch=true"], 1).await;
    bench.server.fail(ObjectKind::Gateway, Fault::Cut);
    bench.server.apply(ObjectKind::Gateway, &gateway("changes"));
    bench.server.apply(ObjectKind::Gateway, &gateway("comes"));
    bench.server.delete(ObjectKind::Gateway, "shop", "goes");
    bench.server.compact(ObjectKind::Gateway);
    bench.server.heal(ObjectKind::Gateway);
    let mut told = Vec::new();
    while told.len() < 3 {
        told.extend(bench.next().await.events.iter().map(|event| event.key().name));
    }
    told.sort_unstable();
    assert_eq!(told, ["changes", "comes", "goes"]);
    assert!(bench.has("Gateway shop/stays") && !bench.has("Gateway shop/goes"));
    assert_eq!(bench.errors(ObjectKind::Gateway, "gone"), 1);
    bench.quiet().await;
}

#[tokio::test]
async fn no_failure_deletes_anything() {
    let server = Server::new();
    server.apply(ObjectKind::Gateway, &gateway("edge"));
    server.apply(ObjectKind::Service, &json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {}}));
    let mut bench = Bench::start(server).await;
    let faults = [Fault::Cut, Fault::Status(401), Fault::Status(403), Fault::Status(429), Fault::Status(500)];
    for fault in faults.into_iter().chain([Fault::Status(503), Fault::Status(422), Fault::Status(410)]) {
        for kind in [ObjectKind::Gateway, ObjectKind::Service] {
            bench.server.fail(kind, fault);
        }
        bench.quiet().await;
        for kind in [ObjectKind::Gateway, ObjectKind::Service] {
            bench.server.heal(kind);
        }
    }
    bench.server.apply(ObjectKind::Gateway, &gateway("later"));
    bench.server.apply(ObjectKind::Service, &json!({"metadata": {"name": "later", "namespace": "shop"}, "spec": {}}));
    bench.until(|bench| bench.objects.len() == 4).await;
}

#[tokio::test]
async fn a_builtin_kind_that_is_missing_is_a_failure_like_others() {
    let server = Server::new();
    server.apply(ObjectKind::Service, &json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {}}));
    let mut bench = Bench::start(server).await;
    bench.server.fail(ObjectKind::Service, Fault::Status(404));
    tokio::time::sleep(Duration::from_millis(200)).await;
    bench.quiet().await;
    bench.server.heal(ObjectKind::Service);
    bench.server.delete(ObjectKind::Service, "shop", "web");
    bench.until(|bench| bench.objects.is_empty()).await;
}

#[tokio::test]
async fn an_answer_that_never_gets_better_leads_to_a_new_list() {
    let server = Server::new();
    server.apply(ObjectKind::Gateway, &gateway("edge"));
    let mut bench = Bench::start(server).await;
    bench.requests(&["v1/gateways?", "watch=true"], 1).await;
    bench.server.fail(ObjectKind::Gateway, Fault::Status(500));
    bench.requests(&["v1/gateways?", "limit="], 2).await;
    bench.server.heal(ObjectKind::Gateway);
    bench.server.apply(ObjectKind::Gateway, &gateway("later"));
    bench.until(|bench| bench.has("Gateway shop/later")).await;
}

#[tokio::test]
async fn nothing_is_told_before_a_forbidden_kind_is_permitted() {
    let server = Server::new();
    server.apply(ObjectKind::Gateway, &gateway("edge"));
    server.fail(ObjectKind::Pod, Fault::Status(403));
    let mut bench = Bench::begin(server, |_| {});
    bench.quiet().await;
    assert!(bench.errors(ObjectKind::Pod, "forbidden") > 0);
    bench.server.heal(ObjectKind::Pod);
    assert!(bench.next().await.synced);
    assert!(bench.has("Gateway shop/edge"));
}

#[tokio::test]
async fn nothing_is_told_while_a_list_has_no_answer() {
    let server = Server::new();
    server.fail(ObjectKind::EndpointSlice, Fault::Silence);
    let mut bench = Bench::begin(server, |_| {});
    bench.quiet().await;
}

#[tokio::test]
async fn a_kind_that_is_installed_later_is_noticed_at_once() {
    let server = Server::new();
    server.undefine(ObjectKind::Gateway);
    let mut bench = Bench::start(server).await;
    assert!(bench.objects.is_empty());
    // Looking again takes a minute here.
    bench.requests(&["customresourcedefinitions?", "watch=true"], 1).await;
    bench.server.define(ObjectKind::Gateway, &["v1"]);
    bench.server.apply(ObjectKind::Gateway, &gateway("edge"));
    bench.until(|bench| bench.has("Gateway shop/edge")).await;
}

#[tokio::test]
async fn a_kind_that_is_installed_later_is_found_without_seeing_definitions() {
    let server = Server::new();
    server.undefine(ObjectKind::Gateway);
    server.hide_definitions();
    let mut bench = Bench::begin(server, |options| options.look_again = Duration::from_millis(50));
    bench.next().await;
    bench.server.define(ObjectKind::Gateway, &["v1"]);
    bench.server.apply(ObjectKind::Gateway, &gateway("edge"));
    bench.until(|bench| bench.has("Gateway shop/edge")).await;
}

#[tokio::test]
async fn objects_go_with_their_kind_but_not_at_once_and_come_back_with_it() {
    let server = Server::new();
    server.apply(ObjectKind::Gateway, &gateway("edge"));
    let mut bench = Bench::start(server).await;
    bench.requests(&["v1/gateways?", "watch=true"], 1).await;
    let begin = std::time::Instant::now();
    bench.server.undefine(ObjectKind::Gateway);
    assert_eq!(deleted(&bench.next().await)[0].to_string(), "Gateway shop/edge");
    assert!(begin.elapsed() >= Duration::from_millis(150), "{:?}", begin.elapsed());
    bench.server.define(ObjectKind::Gateway, &["v1"]);
    bench.server.apply(ObjectKind::Gateway, &gateway("edge"));
    bench.until(|bench| bench.has("Gateway shop/edge")).await;
}

#[tokio::test]
async fn a_kind_that_is_missing_for_a_moment_loses_nothing() {
    let server = Server::new();
    server.apply(ObjectKind::Gateway, &gateway("edge"));
    let mut bench = Bench::begin(server, |options| options.missing_grace = Duration::from_secs(5));
    bench.next().await;
    bench.server.fail(ObjectKind::Gateway, Fault::Status(404));
    bench.quiet().await;
    bench.server.heal(ObjectKind::Gateway);
    bench.server.apply(ObjectKind::Gateway, &gateway("later"));
    bench.until(|bench| bench.has("Gateway shop/later")).await;
    assert!(bench.has("Gateway shop/edge"));
}

#[tokio::test]
async fn the_best_version_that_is_there_is_used_and_told() {
    let server = Server::new();
    server.define(ObjectKind::Gateway, &["v1alpha3", "v1beta1"]);
    server.apply(ObjectKind::Gateway, &gateway("edge"));
    let mut bench = Bench::begin(server, |_| {});
    let api_version = |batch: &KubeBatch| match batch.events.as_slice() {
        [ObjectEvent::Applied { revision, .. }] => revision.api_version.clone(),
        _ => panic!("{batch:?}"),
    };
    assert_eq!(api_version(&bench.next().await), "networking.istio.io/v1beta1");
    bench.requests(&["v1beta1/gateways?", "watch=true"], 1).await;
    // The version goes: the same object is told again, with the version that is there now.
    bench.server.define(ObjectKind::Gateway, &["v1alpha3"]);
    bench.server.break_watches(ObjectKind::Gateway);
    assert_eq!(api_version(&bench.next().await), "networking.istio.io/v1alpha3");
}

#[tokio::test]
async fn a_better_version_is_taken_when_it_appears() {
    let server = Server::new();
    server.define(ObjectKind::Gateway, &["v1beta1"]);
    server.apply(ObjectKind::Gateway, &gateway("edge"));
    let mut bench = Bench::start(server).await;
    bench.requests(&["v1beta1/gateways?", "watch=true"], 1).await;
    bench.server.define(ObjectKind::Gateway, &["v1", "v1beta1"]);
    let batch = bench.next().await;
    let [ObjectEvent::Applied { revision, .. }] = batch.events.as_slice() else { panic!("{batch:?}") };
    assert_eq!(revision.api_version, "networking.istio.io/v1");
    bench.quiet().await;
}
