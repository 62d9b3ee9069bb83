//! Saved files change what is served: at once, one object at a time, and never for the worse.

use sluice_tests::edge::{GATEWAY, file, host_rule, virtual_service};
use sluice_tests::{Backend, Edge, H1};

fn answer(name: &str, status: u16) -> String {
    host_rule(name, &format!("{{directResponse: {{status: {status}}}}}"))
}

#[tokio::test]
async fn the_next_request_on_a_kept_connection_sees_the_change() {
    let mut edge = Edge::start(&[GATEWAY.to_owned(), answer("a", 201)]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let mut h2 = sluice_tests::client::H2::connect(edge.port(8080).await).await.unwrap();
    for status in [202, 203, 206, 201] {
        let event = edge.save("01.yaml", &answer("a", status)).await;
        assert!(event.problems.is_empty() && event.rejected.is_empty(), "{event:?}");
        assert_eq!((event.changed.len(), event.resources_changed), (1, 1), "{event:?}");
        assert_eq!(client.get("a.test", "/").await.unwrap().status, status);
        assert_eq!(h2.get("a.test", "/").await.unwrap().status, status);
    }
    edge.save("b.yaml", &answer("b", 207)).await;
    assert_eq!(client.get("b.test", "/").await.unwrap().status, 207);
    edge.delete("b.yaml").await;
    assert_eq!(client.get("b.test", "/").await.unwrap().status, 404);
}

#[tokio::test]
async fn a_bad_edit_keeps_the_last_good_version_while_others_change() {
    let good = answer("a", 201);
    let mut edge = Edge::start(&[GATEWAY.to_owned(), good.clone(), answer("b", 201)]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let bad = [
        ("no YAML", good.replace("http:", "http: [")),
        ("a wrong type", good.replace("status: 201", "status: many")),
        ("an unknown field", good.replace("directResponse", "directReply")),
        ("a bad regex", good.replace("{directResponse", "{match: [{uri: {regex: '('}}], directResponse")),
        ("a bad status", good.replace("status: 201", "status: 999")),
        ("two actions", good.replace("{directResponse", "{redirect: {uri: /x}, directResponse")),
        (
            "an unknown operator",
            good.replace("{directResponse", "{headers: {response: {set: {x-a: '%NO_SUCH%'}}}, directResponse"),
        ),
        ("nothing at all in it", good.replace("hosts: [a.test]", "hosts: []")),
    ];
    let mut status = 201;
    for (what, text) in bad {
        assert_ne!(text, good, "{what}");
        let event = edge.save("01.yaml", &text).await;
        assert!(event.errors > 0, "{what}: nobody is told: {event:?}");
        assert!(
            event.problems.iter().any(|problem| problem.to_string().contains("01.yaml")),
            "{what}: {:?}",
            event.problems
        );
        assert_eq!(client.get("a.test", "/").await.unwrap().status, 201, "{what}");
        // Everybody else's changes go on.
        status = if status == 201 { 202 } else { 201 };
        edge.save("02.yaml", &answer("b", status)).await;
        assert_eq!(client.get("b.test", "/").await.unwrap().status, status, "{what}");
    }
    let event = edge.save("01.yaml", &good.replace("201", "206")).await;
    assert_eq!((event.errors, event.healed.is_empty()), (0, false), "{event:?}");
    assert_eq!(client.get("a.test", "/").await.unwrap().status, 206);
}

#[tokio::test]
async fn one_bad_object_of_a_file_leaves_the_others_in_force() {
    let broken =
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: b}\nspec: {hosts: 7}\n".to_owned();
    let all = file(&[answer("a", 201), broken, answer("c", 203)]);
    let edge = Edge::start(&[GATEWAY.to_owned(), all]).await;
    assert!(edge.first.errors > 0);
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for (host, status) in [("a.test", 201), ("b.test", 404), ("c.test", 203)] {
        assert_eq!(client.get(host, "/").await.unwrap().status, status, "{host}");
    }
}

#[tokio::test]
async fn a_destination_that_comes_and_goes_is_a_503_meanwhile() {
    let alpha = Backend::start("alpha").await;
    let to_alpha = "  - route: [{destination: {host: alpha, subset: v1}}]\n";
    let subsets = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: alpha, namespace: shop}\n\
                   spec: {host: alpha, subsets: [{name: v1}]}\n";
    let mut edge = Edge::start(&[GATEWAY.to_owned(), virtual_service("web", to_alpha)]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    assert_eq!(client.get("shop.test", "/").await.unwrap().status, 503);
    edge.save("entry.yaml", &alpha.service_entry()).await;
    assert_eq!(client.get("shop.test", "/").await.unwrap().status, 503);
    edge.save("subsets.yaml", subsets).await;
    assert_eq!(client.get("shop.test", "/").await.unwrap().status, 200);
    edge.delete("entry.yaml").await;
    assert_eq!(client.get("shop.test", "/").await.unwrap().status, 503);
}

#[tokio::test]
async fn a_request_under_way_finishes_by_the_rules_it_began_with() {
    let alpha = Backend::start("alpha").await;
    let rule = "{headers: {response: {set: {x-rule: old}}}, route: [{destination: {host: alpha}}]}";
    let mut edge = Edge::start(&[GATEWAY.to_owned(), host_rule("a", rule), alpha.service_entry()]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nx-do: sleep 300\r\n\r\n").await.unwrap();
    sluice_tests::until("the request upstream", async || (alpha.hits() == 1).then_some(())).await;
    edge.save("01.yaml", &answer("a", 299)).await;
    edge.delete("02.yaml").await;
    let reply = client.reply(false).await.unwrap();
    assert_eq!((reply.status, reply.header("x-rule"), reply.backend()), (200, Some("old"), "alpha"));
    assert_eq!(client.get("a.test", "/").await.unwrap().status, 299);
}

#[tokio::test]
async fn unchanged_clusters_keep_their_connections() {
    let alpha = Backend::start("alpha").await;
    let rule = |status: u16| file(&[host_rule("a", "{route: [{destination: {host: alpha}}]}"), answer("b", status)]);
    let mut edge = Edge::start_with(
        &[GATEWAY.to_owned(), rule(201), alpha.service_entry()],
        gateway::Config { threads: 1, ..gateway::Config::default() },
    )
    .await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for status in [202, 203, 206, 207] {
        assert_eq!(client.get("a.test", "/").await.unwrap().status, 200);
        edge.save("01.yaml", &rule(status)).await;
    }
    assert_eq!(client.get("a.test", "/").await.unwrap().status, 200);
    assert_eq!((alpha.hits(), alpha.connections()), (5, 1));
}
