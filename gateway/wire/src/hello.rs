//! What a proxy says at the start of a stream of what it has: little at once, much in short and at length only if asked.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use ir::{Key, Kind};

use crate::convert;
use crate::digest::{self, Digest};
use crate::discovery::{Ask, Node, Request, ResourceVersion, Subscription};

/// Up to so many bytes are said at once.
const LITTLE: usize = 32 << 10;
/// Of much, in one message, bytes. Controllers have many proxies to listen to at once.
const PART: usize = 128 << 10;

/// What a proxy has, by name and version; told when it is asked for.
#[derive(Debug, Default)]
pub struct Kept(Vec<(Key, Arc<str>)>);

/// The first request of a stream, and what is to be said if the controller asks.
#[must_use]
pub fn hello(node: Node, subscribe: Vec<Subscription>, versions: Vec<(Key, Arc<str>)>) -> (Request, Kept) {
    let mut request = Request { node: Some(node), subscribe, ..Request::default() };
    let bytes: usize = versions.iter().map(|(key, version)| size(key, version)).sum();
    if bytes <= LITTLE {
        request.initial_resource_versions =
            versions.iter().map(|(key, version)| convert::resource_version(key, version)).collect();
        return (request, Kept::default());
    }
    let mut digests: BTreeMap<_, Digest> = BTreeMap::new();
    for (key, version) in &versions {
        digests.entry(key.kind).or_default().add(key, version);
    }
    request.digests = digests.into_iter().map(|(kind, digest)| digest.message(kind)).collect();
    (request, Kept(versions))
}

impl Kept {
    /// The answer to a controller that asks: one request after the other, at least one.
    pub fn told(self, asked: &[Ask]) -> impl Iterator<Item = Request> + use<> {
        let mut versions = self.0;
        let asked: Vec<(Kind, HashSet<u8>)> = asked
            .iter()
            .filter_map(|ask| Some((convert::kind(&ask.kind).ok()?, ask.buckets.iter().copied().collect())))
            .collect();
        versions.retain(|(key, _)| {
            asked.iter().any(|(kind, buckets)| *kind == key.kind && buckets.contains(&digest::bucket(key)))
        });
        let mut versions = versions.into_iter().peekable();
        let mut done = false;
        std::iter::from_fn(move || {
            if std::mem::replace(&mut done, versions.peek().is_none()) {
                return None;
            }
            let (mut part, mut filled): (Vec<ResourceVersion>, usize) = (Vec::new(), 0);
            while let Some((key, version)) = versions.next_if(|_| filled < PART) {
                filled += size(&key, &version);
                part.push(convert::resource_version(&key, &version));
            }
            done = versions.peek().is_none();
            Some(Request { initial_resource_versions: part, more: !done, ..Request::default() })
        })
    }
}

fn size(key: &Key, version: &str) -> usize {
    key.name.len() + version.len() + 32
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn versions(count: usize) -> Vec<(Key, Arc<str>)> {
        let kinds = [Kind::Cluster, Kind::Endpoints];
        let key = |index: usize| Key {
            kind: kinds[index % 2],
            name: format!("outbound|80||service-{index}.namespace.svc.cluster.local").into(),
        };
        (0..count).map(|index| (key(index), Arc::from("0123456789abcdef0123456789abcdef"))).collect()
    }

    #[test]
    fn little_is_said_at_once() {
        let (first, kept) = hello(Node::default(), Vec::new(), versions(5));
        assert_eq!((first.initial_resource_versions.len(), first.digests.len(), kept.0.len()), (5, 0, 0));
        assert!(!first.more);
    }

    #[test]
    fn much_is_said_in_short_and_then_in_parts() {
        let all = versions(50_000);
        let (first, kept) = hello(Node::default(), Vec::new(), all.clone());
        assert_eq!((first.initial_resource_versions.len(), first.digests.len()), (0, 2));
        assert!(first.encoded_len() < 9_000);
        let ask = |kind: &str, buckets: std::ops::RangeInclusive<u8>| Ask {
            kind: kind.to_owned(),
            buckets: buckets.collect(),
        };
        let asked = [ask("cluster", 0..=127), ask("secret", 0..=255), ask("hologram", 0..=255)];
        let parts: Vec<Request> = kept.told(&asked).collect();
        let (last, others) = parts.split_last().unwrap();
        assert!(others.len() > 5 && others.iter().all(|it| it.more) && !last.more);
        assert!(parts.iter().all(|part| part.encoded_len() < 2 * PART));
        let told = parts.into_iter().flat_map(|it| it.initial_resource_versions);
        let told: Vec<(Key, Arc<str>)> = told.map(|it| it.try_into().unwrap()).collect();
        let wanted = all.iter().filter(|(key, _)| key.kind == Kind::Cluster && digest::bucket(key) < 128);
        assert!(told.iter().eq(wanted));
    }

    #[test]
    fn who_has_nothing_of_it_says_so() {
        let parts: Vec<Request> = Kept::default().told(&[]).collect();
        assert_eq!(parts, [Request::default()]);
    }
}
