//! The keys of a rule's `when`, and what their values look like (docs/semantics.md §13.6).

use crds::{AuthorizationAction, Condition};

use super::{network, port};
use crate::scope::Scope;

/// What the values of a key are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    Text,
    Networks,
    Ports,
}

/// Keys without brackets.
const PLAIN: [(&str, Values); 13] = [
    ("source.ip", Values::Networks),
    ("remote.ip", Values::Networks),
    ("destination.ip", Values::Networks),
    ("destination.port", Values::Ports),
    ("source.namespace", Values::Text),
    ("source.principal", Values::Text),
    ("source.serviceAccount", Values::Text),
    ("source.trustDomain", Values::Text),
    ("request.auth.principal", Values::Text),
    ("request.auth.audiences", Values::Text),
    ("request.auth.presenter", Values::Text),
    ("connection.sni", Values::Text),
    ("request.headers[:authority]", Values::Text),
];
/// Beginnings of keys with something in brackets.
const BRACKETED: [&str; 3] = ["request.headers", "request.auth.claims", "experimental.envoy.filters."];
/// Cannot be used with action CUSTOM, which comes before authentication.
const IDENTITIES: [&str; 5] =
    ["source.namespace", "source.principal", "source.serviceAccount", "source.trustDomain", "request.auth."];

pub(super) fn validate(entry: &Condition, action: AuthorizationAction, at: &mut Scope<'_>) {
    let Condition { key, values, not_values } = entry;
    if values.is_empty() && not_values.is_empty() {
        at.missing("a condition needs values or notValues");
    }
    if key.is_empty() {
        at.field("key").missing("a condition needs a key");
        return;
    }
    let Some(kind) = kind(key) else {
        at.field("key").invalid(
            key,
            "a key that can be looked at, such as request.headers[NAME], source.ip, source.namespace, destination.port, connection.sni or request.auth.claims[NAME]",
        );
        return;
    };
    if action == AuthorizationAction::Custom && IDENTITIES.iter().any(|identity| key.starts_with(identity)) {
        at.field("key").conflict("action CUSTOM decides before anybody's identity is known; this cannot be used in it");
    }
    for (name, list) in [("values", values), ("notValues", not_values)] {
        for (index, value) in list.iter().enumerate() {
            let mut at = at.item(name, index);
            match kind {
                Values::Networks => network(value, &mut at),
                Values::Ports => port(value, &mut at),
                Values::Text if value.is_empty() => at.missing("a value cannot be empty"),
                Values::Text => {}
            }
        }
    }
}

/// Whether connections that are not HTTP have nothing to compare.
pub(super) fn is_http_only(key: &str) -> bool {
    key.starts_with("request.")
}

fn kind(key: &str) -> Option<Values> {
    if let Some((_, kind)) = PLAIN.iter().find(|(known, _)| *known == key) {
        return Some(*kind);
    }
    let open = key.find('[')?;
    let known = BRACKETED.iter().any(|start| match start.strip_suffix('.') {
        Some(_) => key.starts_with(start) && open > start.len(),
        None => key[..open] == **start,
    });
    (known && are_bracketed(&key[open..])).then_some(Values::Text)
}

/// `[a]` or `[a][b]…`, nothing else and nothing empty.
fn are_bracketed(text: &str) -> bool {
    let mut rest = text;
    while let Some(inside) = rest.strip_prefix('[') {
        match inside.split_once(']') {
            Some((name, after)) if !name.is_empty() => rest = after,
            Some(_) | None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_their_form() {
        for key in
            ["request.headers[x-a]", "request.auth.claims[a][b]", "source.ip", "experimental.envoy.filters.a.b[c]"]
        {
            assert!(kind(key).is_some(), "{key}");
        }
        for key in [
            "request.headers",
            "request.headers[]",
            "request.headers[a",
            "request.headers[a]b",
            "source.user",
            "destination.labels[a]",
            "request.auth.claims",
            "experimental.envoy.filters.[a]",
            "request.headersx[a]",
        ] {
            assert!(kind(key).is_none(), "{key}");
        }
    }
}
