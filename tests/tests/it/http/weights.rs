//! Shares of several destinations.

use std::collections::BTreeMap;

use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::{Backend, Edge, H1};

fn destination(host: &str, weight: &str) -> String {
    format!("{{destination: {{host: {host}, port: {{number: 80}}}}{weight}}}")
}

#[tokio::test]
async fn requests_are_shared_by_weight() {
    let (alpha, beta) = (Backend::start("alpha").await, Backend::start("beta").await);
    let both = |a: &str, b: &str| format!("{{route: [{}, {}]}}", destination("alpha", a), destination("beta", b));
    let rules = [
        host_rule("canary", &both(", weight: 90", ", weight: 10")),
        host_rule("thirds", &both(", weight: 1", ", weight: 2")),
        host_rule("none", &both(", weight: 7", ", weight: 0")),
        host_rule("unsaid", &both(", weight: 7", "")),
        host_rule("lone", &format!("{{route: [{}]}}", destination("beta", ", weight: 0"))),
        host_rule("gap", &both(", weight: 50", ", weight: 50").replace("host: beta", "host: missing")),
    ];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), alpha.service_entry(), beta.service_entry()]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    // The bounds are six standard deviations away: nobody will see a fair share miss them.
    for (name, count, expected) in [
        ("canary", 1000, [("alpha", 843..957), ("beta", 43..157)]),
        ("thirds", 600, [("alpha", 131..269), ("beta", 331..469)]),
        ("none", 100, [("alpha", 100..101), ("beta", 0..1)]),
        ("unsaid", 100, [("alpha", 100..101), ("beta", 0..1)]),
        ("lone", 50, [("alpha", 0..1), ("beta", 50..51)]),
        ("gap", 400, [("alpha", 140..260), ("503", 140..260)]),
    ] {
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..count {
            let reply = client.get(&format!("{name}.test"), "/").await.unwrap();
            let who = if reply.status == 200 { reply.backend().to_owned() } else { reply.status.to_string() };
            *seen.entry(who).or_default() += 1;
        }
        for (who, range) in &expected {
            let got = seen.get(*who).copied().unwrap_or(0);
            assert!(range.contains(&got), "{name}: {who} got {got}, not {range:?}: {seen:?}");
        }
        assert_eq!(seen.values().sum::<u32>(), count, "{name}: {seen:?}");
        let named: u32 = expected.iter().filter_map(|(who, _)| seen.get(*who)).sum();
        assert_eq!(named, count, "{name}: somebody else answered: {seen:?}");
    }
}
