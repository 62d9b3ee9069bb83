//! All kinds arrive, and only what may be asked for is asked for.

use super::super::rbac::{Reach, permissions};
use super::*;

/// One object of every kind that is followed without being wanted.
fn one_of_each(server: &Server) {
    let meta = |kind: ObjectKind| match kind {
        ObjectKind::ConfigMap => json!({"name": "istio", "namespace": "mesh"}),
        kind if kind.is_namespaced() => json!({"name": "it", "namespace": "shop"}),
        _ => json!({"name": "it"}),
    };
    for kind in ObjectKind::ALL {
        let mut object = json!({"metadata": meta(kind)});
        match kind {
            ObjectKind::EndpointSlice => {
                object["addressType"] = json!("IPv4");
                object["endpoints"] = json!([{"addresses": ["10.0.0.1"]}]);
            }
            ObjectKind::ConfigMap => object["data"] = json!({"mesh": ""}),
            _ => object["spec"] = json!({}),
        }
        server.apply(kind, &object);
    }
}

#[tokio::test]
async fn the_first_batch_has_every_kind_and_no_secret() {
    let server = Server::new();
    one_of_each(&server);
    server.apply(ObjectKind::ConfigMap, &json!({"metadata": {"name": "istio", "namespace": "elsewhere"}}));
    server.apply(ObjectKind::ConfigMap, &json!({"metadata": {"name": "other", "namespace": "mesh"}}));
    let mut bench = Bench::begin(server, |_| {});
    let batch = bench.next().await;
    let kinds: Vec<_> = batch.events.iter().map(|event| event.key().kind).collect();
    for kind in ObjectKind::ALL {
        let expected = usize::from(kind != ObjectKind::Secret);
        assert_eq!(kinds.iter().filter(|has| **has == kind).count(), expected, "{kind}");
        assert_eq!(bench.count(kind), i64::try_from(expected).unwrap(), "{kind}");
    }
    assert!(batch.events.iter().all(|event| matches!(event, ObjectEvent::Applied { .. })), "{batch:?}");
    assert!(bench.has("ConfigMap mesh/istio"));
    bench.quiet().await;
}

#[tokio::test]
async fn an_empty_cluster_is_told_at_once() {
    let mut bench = Bench::begin(Server::default(), |_| {});
    let batch = bench.next().await;
    assert!(batch.synced && batch.events.is_empty());
}

#[tokio::test]
async fn changes_are_told_one_by_one_or_joined() {
    let mut bench = Bench::start(Server::new()).await;
    bench.server.apply(ObjectKind::Gateway, &gateway("edge"));
    let batch = bench.next().await;
    let [ObjectEvent::Applied { revision, .. }] = batch.events.as_slice() else { panic!("{batch:?}") };
    assert_eq!(
        revision.status.as_ref().map(crate::source::kube::StatusText::value),
        Some(json!({"observedGeneration": "1"}))
    );
    assert_eq!((revision.api_version.as_str(), revision.generation), ("networking.istio.io/v1", 1));
    for _ in 0..50 {
        bench.server.apply(ObjectKind::Gateway, &gateway("edge"));
        bench.server.apply(ObjectKind::Gateway, &gateway("other"));
    }
    // One batch lies ready while the others are joined.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut batches = 0;
    while !bench.batches.is_empty() || batches == 0 {
        bench.next().await;
        batches += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(batches <= 2, "{batches}");
    bench.server.delete(ObjectKind::Gateway, "shop", "edge");
    assert_eq!(deleted(&bench.next().await)[0].to_string(), "Gateway shop/edge");
    assert_eq!(bench.count(ObjectKind::Gateway), 1);
}

#[tokio::test]
async fn long_lists_are_read_in_pages() {
    let server = Server::new();
    for index in 0..7 {
        server.apply(ObjectKind::Gateway, &gateway(&format!("g{index}")));
    }
    let mut bench = Bench::begin(server, |options| options.page_size = 3);
    assert_eq!(bench.next().await.events.len(), 7);
    assert_eq!(bench.server.count(&["v1/gateways?", "limit=3"]), 3);
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_told_with_its_mistakes() {
    let mut bench = Bench::start(Server::new()).await;
    let mut broken = gateway("edge");
    broken["metadata"]["uid"] = json!("first");
    bench.server.apply(ObjectKind::Gateway, &broken);
    bench.until(|bench| bench.has("Gateway shop/edge")).await;
    broken["spec"]["servers"][0]["port"]["number"] = json!("eighty");
    bench.server.apply(ObjectKind::Gateway, &broken);
    let batch = bench.next().await;
    let [ObjectEvent::Unreadable { errors, .. }] = batch.events.as_slice() else { panic!("{batch:?}") };
    assert!(errors[0].starts_with("spec.servers[0].port.number: "), "{errors:?}");
    // Another object of the same name has no last good version.
    broken["metadata"]["uid"] = json!("second");
    bench.server.apply(ObjectKind::Gateway, &broken);
    let batch = bench.next().await;
    let [ObjectEvent::Deleted { .. }, ObjectEvent::Unreadable { .. }] = batch.events.as_slice() else {
        panic!("{batch:?}")
    };
}

#[tokio::test]
async fn nothing_is_asked_for_that_needs_more_than_the_permissions() {
    let server = Server::new();
    one_of_each(&server);
    let mut bench = Bench::start(server).await;
    bench.want(&["it"]);
    bench.until(|bench| bench.answered.contains(&secret("it"))).await;
    bench.requests(&["/secrets?", "watch=true"], 1).await;
    let mut used = BTreeSet::new();
    for request in bench.server.requests() {
        let (path, query) = request.strip_prefix("GET ").unwrap().split_once('?').unwrap_or((&request, ""));
        let parts: Vec<_> = path.trim_start_matches("GET ").trim_start_matches('/').split('/').collect();
        let (group, reach, resource) = match *parts.as_slice() {
            // What there is, everybody may see.
            ["apis", _] | ["apis", _, _] => continue,
            ["api", "v1", resource] => ("", Reach::Cluster, resource),
            ["apis", group, _, resource] => (group, Reach::Cluster, resource),
            ["api", "v1", "namespaces", "mesh", resource] => ("", Reach::MeshConfig, resource),
            ["api", "v1", "namespaces", _, resource] => ("", Reach::Named, resource),
            _ => panic!("{request}"),
        };
        if reach != Reach::Cluster {
            assert!(query.contains("fieldSelector=metadata.name%3Di"), "{request}");
        }
        let permission = permissions().into_iter().find(|permission| {
            permission.group == group && permission.resource == resource && permission.reach == reach
        });
        used.insert(permission.unwrap_or_else(|| panic!("nothing permits {request}")));
    }
    assert_eq!(used, permissions().into_iter().collect(), "a permission is not needed");
}
