//! Who called the API server, and what it answered: so that a test can say "nothing was forbidden" and "no secret was
//! listed" of a whole program.

use serde_json::Value;

use super::ControlPlane;

/// Everybody's calls but those of users who may do everything, and the API server's own.
pub(super) const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, userGroups: ['system:masters']}
- {level: None, users: ['system:apiserver']}
- {level: Metadata}
";

/// One call, when it was answered; a watch has one when it begins and one when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub user: String,
    /// `get`, `list`, `watch`, `patch`, …
    pub verb: String,
    /// Plural name, with the subresource: `services/status`. Empty for paths like `/version`.
    pub resource: String,
    pub group: String,
    /// Empty for a call on all namespaces.
    pub namespace: String,
    /// Empty for a list.
    pub name: String,
    pub uri: String,
    pub code: u16,
}

impl ControlPlane {
    /// The calls so far whose user has this text in the name, such as `system:serviceaccount:istio-system:`.
    #[must_use]
    pub fn calls(&self, user: &str) -> Vec<Call> {
        let text = std::fs::read_to_string(self.directory.path().join("audit.log")).unwrap_or_default();
        let calls = text.lines().filter_map(|line| serde_json::from_str(line).ok()).map(|event| call(&event));
        calls.filter(|call| call.user.contains(user)).collect()
    }
}

fn call(event: &Value) -> Call {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let subresource = text("/objectRef/subresource");
    let mut resource = text("/objectRef/resource");
    if !subresource.is_empty() {
        resource = format!("{resource}/{subresource}");
    }
    Call {
        user: text("/user/username"),
        verb: text("/verb"),
        resource,
        group: text("/objectRef/apiGroup"),
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        uri: text("/requestURI"),
        code: event.pointer("/responseStatus/code").and_then(Value::as_u64).map_or(0, |code| code as u16),
    }
}
