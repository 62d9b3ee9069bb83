//! What a proxy says at the start of a stream of what it has: little at once, much in short and at length only if asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use ir::Key;

use crate::convert;
use crate::digest::Digest;
use crate::discovery::{Node, Request, ResourceVersion, Subscription};

/// Up to so many bytes are said at once.
const LITTLE: usize = 16 << 10;
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
    /// The answer to a controller that asks for these kinds: one request after the other, at least one.
    pub fn told(self, asked: &[String]) -> impl Iterator<Item = Request> + use<> {
        let mut versions = self.0;
        versions.retain(|(key, _)| asked.iter().any(|kind| kind == convert::kind_name(key.kind)));
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
    use ir::Kind;
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
        assert!(first.encoded_len() < 200);
        let parts: Vec<Request> = kept.told(&["cluster".to_owned(), "secret".to_owned()]).collect();
        let (last, others) = parts.split_last().unwrap();
        assert!(others.len() > 10 && others.iter().all(|it| it.more) && !last.more);
        assert!(parts.iter().all(|part| part.encoded_len() < 2 * PART));
        let told = parts.into_iter().flat_map(|it| it.initial_resource_versions);
        let told: Vec<(Key, Arc<str>)> = told.map(|it| it.try_into().unwrap()).collect();
        assert!(told.iter().eq(all.iter().filter(|(key, _)| key.kind == Kind::Cluster)));
    }

    #[test]
    fn who_has_nothing_of_it_says_so() {
        let parts: Vec<Request> = Kept::default().told(&["cluster".to_owned()]).collect();
        assert_eq!(parts, [Request::default()]);
    }
}
