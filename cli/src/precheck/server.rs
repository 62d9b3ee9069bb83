//! The API server's version, and the namespace of the control plane.

use anyhow::Context as _;
use serde_json::Value;

use super::verdict::Verdict;
use crate::kubernetes::{Cluster, plain, status_of};

/// The oldest minor version of Kubernetes 1 that has all that is used.
const OLDEST: u32 = 29;

pub(super) async fn check(cluster: &Cluster) -> anyhow::Result<Vec<Verdict>> {
    let version =
        cluster.get("/version").await.map_err(plain).with_context(|| format!("{} does not answer", cluster.server))?;
    Ok(vec![kubernetes(&version), namespace(cluster).await?])
}

fn kubernetes(version: &Value) -> Verdict {
    const WHAT: &str = "Kubernetes";
    let shown = version["gitVersion"].as_str().unwrap_or("unknown");
    // Some clouds write `29+`.
    let number = |name: &str| {
        let digits: String =
            version[name].as_str().unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().ok()
    };
    match (number("major"), number("minor")) {
        (Some(1), Some(minor)) if minor < OLDEST => Verdict::error(
            WHAT,
            shown,
            format!("upgrade the cluster: 1.{OLDEST} is the oldest version that is supported"),
        ),
        (Some(_), Some(_)) => Verdict::ok(WHAT, shown),
        _ => Verdict::warning(WHAT, shown, format!("the version cannot be read; it must be 1.{OLDEST} or later")),
    }
}

/// The charts' pods fit every level of Pod Security; anything that is enforced does not hinder them.
async fn namespace(cluster: &Cluster) -> anyhow::Result<Verdict> {
    const WHAT: &str = "Namespace";
    let name = &cluster.control_namespace;
    match cluster.get(&format!("/api/v1/namespaces/{name}")).await {
        Ok(found) if found["metadata"]["deletionTimestamp"].is_string() => Ok(Verdict::error(
            WHAT,
            format!("{name} is being deleted"),
            "wait until it is gone, or choose another with -i",
        )),
        Ok(found) => {
            let level = found["metadata"]["labels"]["pod-security.kubernetes.io/enforce"].as_str();
            Ok(Verdict::ok(
                WHAT,
                match level {
                    Some(level) => format!("{name} is there; Pod Security {level} admits the controller"),
                    None => format!("{name} is there; it enforces no Pod Security"),
                },
            ))
        }
        Err(error) if status_of(&error) == Some(404) => {
            Ok(Verdict::ok(WHAT, format!("{name} is not there yet; helm makes it with --create-namespace")))
        }
        Err(error) if status_of(&error) == Some(403) => Ok(Verdict::warning(
            WHAT,
            format!("{name} cannot be seen by you"),
            "ask someone who may see it whether it is there",
        )),
        Err(error) => Err(plain(error).context(format!("namespace {name} cannot be read"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::verdict::Level;
    use super::*;

    #[test]
    fn old_versions_are_refused() {
        for (major, minor, level) in
            [("1", "28", Level::Error), ("1", "29+", Level::Ok), ("1", "34", Level::Ok), ("", "", Level::Warning)]
        {
            let version = json!({"major": major, "minor": minor, "gitVersion": "v"});
            assert_eq!(kubernetes(&version).level, level, "{major}.{minor}");
        }
    }
}
