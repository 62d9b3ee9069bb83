//! What `sluice` says about a cluster, through the API server's port-forward.

use serde_json::Value;

use super::canary::HOST;
use super::charts::{EDGE, Site};

/// An answer as data.
async fn json(site: &Site<'_>, words: &[&str]) -> Value {
    let (text, code) = site.cluster.sluice(&[words, &["-o", "json"]].concat()).await;
    assert_eq!(code, Some(0), "sluice {words:?}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("sluice {words:?}: {error}: {text}"))
}

pub(crate) async fn shows(site: &Site<'_>) {
    let proxies = json(site, &["status"]).await;
    let proxies = proxies.as_array().unwrap();
    assert!(proxies.len() >= 2 && proxies.iter().all(|proxy| proxy["state"] == "InSync"), "{proxies:?}");
    let pod = format!("{}.{EDGE}", proxies[0]["pod"].as_str().unwrap());

    let endpoints = json(site, &["proxy-config", "endpoint", &pod, "--status", "healthy"]).await;
    let of_web = |it: &Value| it["cluster"].as_str().is_some_and(|cluster| cluster.contains("|v2|web."));
    assert!(endpoints.as_array().unwrap().iter().any(of_web), "{endpoints}");
    let (listeners, code) = site.cluster.sluice(&["proxy-config", "listener", &pod, "--port", "443"]).await;
    assert!(code == Some(0) && listeners.contains("kubernetes://shop"), "{listeners}");
    let (routes, code) = site.cluster.sluice(&["proxy-config", "route", &pod, "--fqdn", HOST]).await;
    assert!(code == Some(0) && routes.contains(&format!("{}/web", &*site.shop)), "{routes}");
    let (all, code) = site.cluster.sluice(&["proxy-config", "all", &pod, "-o", "yaml"]).await;
    assert!(code == Some(0) && all.contains("spiffe://cluster.local/ns/") && !all.contains("PRIVATE KEY"), "{all}");

    let level = ["proxy-config", "log", &pod, "--level", "info,gateway=debug"];
    assert_eq!(json(site, &level).await["level"], "info,gateway=debug");
    assert_eq!(json(site, &["proxy-config", "log", &pod, "--reset"]).await["level"], "info");

    let url = format!("https://{HOST}/");
    let (answer, code) = site.cluster.sluice(&["explain", "--gateway", &pod, "--", &url]).await;
    assert!(code == Some(0) && answer.contains("kubernetes://shop"), "{answer}");
    let (found, code) = site.cluster.sluice(&["analyze", "-n", &site.shop]).await;
    assert!(code == Some(0) && !found.contains("Error ["), "{found}");
    let (checked, code) = site.cluster.sluice(&["check", "--pre"]).await;
    assert!(code == Some(0) && checked.contains("this would be an upgrade"), "{checked}");
}
