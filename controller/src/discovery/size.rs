//! What a message of a proxy may consist of, looked at before anything of it is kept, compared or waits for anything.

use wire::discovery::{Digest, Node, Rejected, Request, ResourceName, ResourceVersion, Subscription};

use crate::limits::ControllerLimits;

/// Kinds are words of ours.
const KIND_BYTES: usize = 64;
/// Nonces are numbers of ours.
const NONCE_BYTES: usize = 64;
/// Digests and lists in one message: one of each kind is all that is needed.
const LISTS: usize = 64;
/// What a name costs besides its bytes while it is kept, about.
const NAME_OVERHEAD: usize = 96;
/// What a name with its version costs besides the bytes of both, about.
const VERSION_OVERHEAD: usize = 192;

/// Something in a message is longer than such things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooLong {
    #[error("{what} in a message has {bytes} bytes; {limit} are allowed")]
    Text { what: &'static str, bytes: usize, limit: usize },
    #[error("a message has {count} lists of {what}; {limit} are allowed")]
    Lists { what: &'static str, count: usize, limit: usize },
}

/// Looks at every length in a message.
pub(super) fn check(request: &Request, limits: &ControllerLimits) -> Result<(), TooLong> {
    let Request {
        node: said,
        subscribe,
        unsubscribe,
        initial_resource_versions,
        nonce,
        rejected,
        applied_micros: _,
        more: _,
        digests,
    } = request;
    text("the nonce", nonce, NONCE_BYTES)?;
    if let Some(said) = said {
        node(said, limits.node_field_bytes)?;
    }
    for (what, list) in [("names to subscribe to", subscribe), ("names to unsubscribe from", unsubscribe)] {
        lists(what, list.len())?;
        for Subscription { kind, names } in list {
            text("the kind of a subscription", kind, KIND_BYTES)?;
            names.iter().try_for_each(|name| text("a name", name, limits.name_bytes))?;
        }
    }
    for ResourceVersion { key, version } in initial_resource_versions {
        name(key.as_ref(), limits)?;
        text("a version", version, limits.version_bytes)?;
    }
    for Rejected { key, version, reason: _ } in rejected {
        name(key.as_ref(), limits)?;
        text("a version", version, limits.version_bytes)?;
    }
    lists("digests", digests.len())?;
    digests.iter().try_for_each(|Digest { kind, sums: _ }| text("the kind of a digest", kind, KIND_BYTES))
}

fn node(said: &Node, limit: usize) -> Result<(), TooLong> {
    let Node { pod, namespace, service_account, cluster, version, instance } = said;
    let fields = [
        ("the proxy's pod", pod),
        ("the proxy's namespace", namespace),
        ("the proxy's service account", service_account),
        ("the proxy's cluster", cluster),
        ("the proxy's version", version),
        ("the proxy's instance", instance),
    ];
    fields.into_iter().try_for_each(|(what, value)| text(what, value, limit))
}

fn name(key: Option<&ResourceName>, limits: &ControllerLimits) -> Result<(), TooLong> {
    let Some(ResourceName { kind, name }) = key else { return Ok(()) };
    text("a kind", kind, KIND_BYTES)?;
    text("a name", name, limits.name_bytes)
}

fn text(what: &'static str, value: &str, limit: usize) -> Result<(), TooLong> {
    let bytes = value.len();
    if bytes > limit { Err(TooLong::Text { what, bytes, limit }) } else { Ok(()) }
}

fn lists(what: &'static str, count: usize) -> Result<(), TooLong> {
    if count > LISTS { Err(TooLong::Lists { what, count, limit: LISTS }) } else { Ok(()) }
}

/// About how many bytes a name takes while it is subscribed to.
pub(super) fn of_name(name: &str) -> usize {
    name.len() + NAME_OVERHEAD
}

/// About how many bytes it takes to know what a proxy has, as far as this message says.
pub(super) fn of_versions(versions: &[ResourceVersion]) -> usize {
    let one = |version: &ResourceVersion| {
        let name = version.key.as_ref().map_or(0, |key| key.name.len() + key.kind.len());
        name + version.version.len() + VERSION_OVERHEAD
    };
    versions.iter().map(one).sum()
}

#[cfg(test)]
mod tests {
    use ir::{Key, Kind};
    use wire::convert;

    use super::*;

    /// Whatever is too long is found before any of it is used.
    #[test]
    fn no_text_of_a_message_is_taken_at_any_length() {
        let limits = ControllerLimits::default();
        let long = |bytes: usize| "x".repeat(bytes);
        let key = |name: String| Key { kind: Kind::Cluster, name: name.into() };
        let names = |name: String| vec![convert::subscription(Kind::Cluster, [name])];
        let kind = || vec![Subscription { kind: long(65), names: Vec::new() }];
        let node = |change: fn(&mut Node, String)| {
            let mut node = Node::default();
            change(&mut node, long(257));
            Request { node: Some(node), ..Request::default() }
        };
        let refused = [
            Request { subscribe: names(long(1_025)), ..Request::default() },
            Request { subscribe: names(long(4 << 20)), ..Request::default() },
            Request { unsubscribe: names(long(1_025)), ..Request::default() },
            Request { subscribe: kind(), ..Request::default() },
            Request { unsubscribe: vec![Subscription::default(); 65], ..Request::default() },
            Request { nonce: long(65), ..Request::default() },
            Request { digests: vec![Digest { kind: long(65), sums: Vec::new() }], ..Request::default() },
            Request { digests: vec![Digest::default(); 65], ..Request::default() },
            Request {
                initial_resource_versions: vec![convert::resource_version(&key(long(1_025)), "1")],
                ..Request::default()
            },
            Request {
                initial_resource_versions: vec![convert::resource_version(&key(long(1)), &long(129))],
                ..Request::default()
            },
            Request { rejected: vec![convert::rejected(&key(long(1_025)), "1", "no")], ..Request::default() },
            Request { rejected: vec![convert::rejected(&key(long(1)), &long(129), "no")], ..Request::default() },
            node(|node, text| node.pod = text),
            node(|node, text| node.namespace = text),
            node(|node, text| node.service_account = text),
            node(|node, text| node.cluster = text),
            node(|node, text| node.version = text),
            node(|node, text| node.instance = text),
        ];
        for (index, request) in refused.iter().enumerate() {
            assert!(check(request, &limits).is_err(), "{index}");
        }
        let taken = Request { subscribe: names(long(1_024)), nonce: long(64), ..Request::default() };
        assert_eq!(check(&taken, &limits), Ok(()));
        let told = check(&refused[0], &limits).unwrap_err().to_string();
        assert_eq!(told, "a name in a message has 1025 bytes; 1024 are allowed");
    }
}
