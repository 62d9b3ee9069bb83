//! Paths are made plain before they are matched and forwarded.

use sluice_tests::edge::{GATEWAY, host_rule, mesh_config};
use sluice_tests::{Backend, Edge, H1};

/// Path asked for, path seen by default.
const BASE: &[(&str, &str)] = &[
    ("/a/./b/../c", "/a/c"),
    ("/a/..;/b", "/b"),
    ("/a/.", "/a/"),
    ("/../../x", "/x"),
    ("/%61/%7E%2d", "/a/~-"),
    ("/a%2Fb", "/a%2Fb"),
    ("/a%2fb", "/a%2fb"),
    ("/a\\b", "/a/b"),
    ("/a//b", "/a//b"),
    ("/a|{}^`\"<>", "/a%7C%7B%7D%5E%60%22%3C%3E"),
    ("/%zz%", "/%zz%"),
    ("/%2e%2e/x", "/x"),
    ("/a/%2E/b", "/a/b"),
    ("/x?a=/../%61", "/x?a=/../%61"),
    ("/?", "/?"),
];

/// Normalisation, path asked for, path seen.
const MODES: &[(&str, &str, &str)] = &[
    ("NONE", "/a/../b//%61", "/a/../b//%61"),
    ("BASE", "/a/../b//%61", "/b//a"),
    ("MERGE_SLASHES", "/a/../b//%61", "/b/a"),
    ("MERGE_SLASHES", "/a%2F/b?c=//d", "/a%2F/b?c=//d"),
    ("DECODE_AND_MERGE_SLASHES", "/a%2F/b%5cc?d=%2F//", "/a/b/c?d=%2F//"),
    ("DECODE_AND_MERGE_SLASHES", "/a/%2F..%2F/b", "/a/b"),
    // What is matched as below /a must not be forwarded as something else.
    ("DECODE_AND_MERGE_SLASHES", "/a/..%2Fadmin", "/admin"),
];

#[tokio::test]
async fn paths_are_normalised_before_they_are_matched() {
    let alpha = Backend::start("alpha").await;
    let rule = host_rule("a", "{route: [{destination: {host: alpha}}]}");
    let edge = Edge::start(&[GATEWAY.to_owned(), rule, alpha.service_entry()]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let mut wrong = Vec::new();
    for (asked, expected) in BASE {
        let seen = client.get("a.test", asked).await.unwrap().seen()["path"].as_str().unwrap_or_default().to_owned();
        if seen != *expected {
            wrong.push(format!("{asked}: {expected}, not {seen}"));
        }
    }
    for (mode, asked, expected) in MODES {
        edge.write("mesh.yaml", &mesh_config(&format!("pathNormalization: {{normalization: {mode}}}")));
        sluice_tests::until("the mode", async || {
            let mode = mode.to_ascii_lowercase().replace('_', "");
            let now = format!("{:?}", edge.gateway.table().settings().path_normalization).to_ascii_lowercase();
            (now == mode).then_some(())
        })
        .await;
        let seen = client.get("a.test", asked).await.unwrap().seen()["path"].as_str().unwrap_or_default().to_owned();
        if seen != *expected {
            wrong.push(format!("{mode} {asked}: {expected}, not {seen}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
