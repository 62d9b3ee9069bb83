//! Puts the parts of a push together. Pure and bounded: what a controller sends can end a stream, not the process.

use std::collections::BTreeMap;

use ir::{Delta, Encoded, Key};
use wire::convert::ConvertError;
use wire::discovery::{Rejected, Response};

use crate::discovery::wanted::Wanted;

/// What a resource costs besides its name and body.
const OVERHEAD: usize = 128;

/// Why a push cannot be understood; its stream ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    #[error("a part of a push has no nonce")]
    NoNonce,
    #[error("a part of push {found:?} came in the middle of push {expected:?}")]
    OtherNonce { expected: String, found: String },
    #[error("a push is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("a part of a push is malformed")]
    Malformed(#[from] ConvertError),
}

/// Everything of one push.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) nonce: String,
    pub(crate) delta: Delta,
    /// Resources of kinds that this proxy does not know: refused alone, as everything newer than the proxy is (D4).
    pub(crate) unknown: Vec<Rejected>,
}

/// The parts that are there.
#[derive(Debug)]
pub(crate) struct Collector {
    limit: usize,
    nonce: String,
    /// The last word about each key; `None` = removed.
    resources: BTreeMap<Key, Option<Encoded>>,
    unknown: Vec<Rejected>,
    bytes: usize,
}

impl Collector {
    /// For pushes up to `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, nonce: String::new(), resources: BTreeMap::new(), unknown: Vec::new(), bytes: 0 }
    }

    /// Takes a part; the push once it is the last one. What is not wanted is left out: it was asked for once.
    pub(crate) fn take(&mut self, part: Response, wanted: &Wanted) -> Result<Option<Push>, PushError> {
        let Response { nonce, changed, removed, more, controller: _, ask: _ } = part;
        if nonce.is_empty() {
            return Err(PushError::NoNonce);
        }
        if self.nonce.is_empty() {
            self.nonce = nonce;
        } else if self.nonce != nonce {
            return Err(PushError::OtherNonce { expected: self.nonce.clone(), found: nonce });
        }
        for message in changed {
            let name = message.key.clone();
            self.count(name.as_ref().map_or(0, |key| key.name.len()) + message.body.len())?;
            let version = message.version.clone();
            match Encoded::try_from(message) {
                Ok(encoded) if wanted.covers(&encoded.key) => {
                    self.resources.insert(encoded.key.clone(), Some(encoded));
                }
                Ok(_) => {}
                Err(error @ ConvertError::UnknownKind { .. }) => {
                    self.unknown.push(Rejected { key: name, version, reason: error.to_string() });
                }
                Err(error) => return Err(error.into()),
            }
        }
        for message in removed {
            self.count(message.name.len())?;
            match Key::try_from(message) {
                Ok(key) => {
                    self.resources.insert(key, None);
                }
                // Nothing of that kind is in force here.
                Err(ConvertError::UnknownKind { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if more { Ok(None) } else { Ok(Some(self.finish())) }
    }

    fn count(&mut self, bytes: usize) -> Result<(), PushError> {
        self.bytes = self.bytes.saturating_add(bytes).saturating_add(OVERHEAD);
        if self.bytes > self.limit { Err(PushError::TooLarge { limit: self.limit }) } else { Ok(()) }
    }

    fn finish(&mut self) -> Push {
        let done = std::mem::replace(self, Self::new(self.limit));
        let mut delta = Delta::default();
        for (key, resource) in done.resources {
            match resource {
                Some(encoded) => delta.changed.push(encoded),
                None => delta.removed.push(key),
            }
        }
        Push { nonce: done.nonce, delta, unknown: done.unknown }
    }
}

#[cfg(test)]
mod tests {
    use wire::discovery::{Resource, ResourceName};

    use super::*;

    fn table(name: &str) -> Resource {
        let table = ir::RouteTable { name: name.into(), https_redirect: Vec::new(), namespaces_apart: false };
        Resource::from(&ir::codec::encode(&ir::Resource::RouteTable(table)))
    }

    fn name(kind: &str, name: &str) -> ResourceName {
        ResourceName { kind: kind.to_owned(), name: name.to_owned() }
    }

    fn part(nonce: &str, changed: Vec<Resource>, removed: Vec<ResourceName>, more: bool) -> Response {
        Response { nonce: nonce.to_owned(), changed, removed, more, ..Response::default() }
    }

    fn all() -> Wanted {
        Wanted::everything()
    }

    #[test]
    fn parts_become_one_push() {
        let mut collector = Collector::new(1 << 20);
        assert!(collector.take(part("7", vec![table("a")], Vec::new(), true), &all()).unwrap().is_none());
        let removed = vec![name("cluster", "gone"), name("hologram", "gone")];
        let push = collector.take(part("7", vec![table("b")], removed, false), &all()).unwrap().unwrap();
        assert_eq!((push.nonce.as_str(), push.delta.changed.len(), push.delta.removed.len()), ("7", 2, 1));
        let next = collector.take(part("8", Vec::new(), Vec::new(), false), &all()).unwrap().unwrap();
        assert!(next.delta.is_empty());
    }

    #[test]
    fn the_last_word_about_a_key_counts() {
        let mut collector = Collector::new(1 << 20);
        let mut newer = table("a");
        newer.version = "newer".to_owned();
        collector.take(part("1", vec![table("a"), table("b")], vec![name("route_table", "b")], true), &all()).unwrap();
        let push = collector.take(part("1", vec![newer], Vec::new(), false), &all()).unwrap().unwrap();
        assert_eq!(push.delta.changed.len(), 1);
        assert_eq!(&*push.delta.changed[0].version, "newer");
        assert_eq!(&*push.delta.removed[0].name, "b");
    }

    #[test]
    fn a_kind_nobody_knows_is_refused_alone() {
        let mut collector = Collector::new(1 << 20);
        let odd = Resource { key: Some(name("hologram", "x")), ..table("a") };
        let push = collector.take(part("1", vec![odd, table("a")], Vec::new(), false), &all()).unwrap().unwrap();
        assert_eq!(push.delta.changed.len(), 1);
        assert_eq!(push.unknown[0].key, Some(name("hologram", "x")));
        assert!(push.unknown[0].reason.contains("hologram"));
    }

    #[test]
    fn what_was_not_asked_for_is_left_out() {
        let push = Collector::new(1 << 20)
            .take(part("1", vec![table("a")], Vec::new(), false), &Wanted::default())
            .unwrap()
            .unwrap();
        assert!(push.delta.is_empty());
    }

    #[test]
    fn pushes_are_bounded() {
        let mut collector = Collector::new(2000);
        let mut result = Ok(None);
        for index in 0..100 {
            result = collector.take(part("1", vec![table(&format!("t{index}"))], Vec::new(), true), &all());
            if result.is_err() {
                assert!(index < 20);
                break;
            }
        }
        assert!(matches!(result, Err(PushError::TooLarge { limit: 2000 })));
        let names = vec![name("cluster", "x"); 100];
        assert!(matches!(
            Collector::new(2000).take(part("1", Vec::new(), names, false), &all()),
            Err(PushError::TooLarge { .. })
        ));
    }

    #[test]
    fn nonsense_ends_the_stream() {
        let mut collector = Collector::new(1 << 20);
        assert!(matches!(collector.take(part("", Vec::new(), Vec::new(), false), &all()), Err(PushError::NoNonce)));
        collector.take(part("1", Vec::new(), Vec::new(), true), &all()).unwrap();
        let other = collector.take(part("2", Vec::new(), Vec::new(), false), &all());
        assert!(matches!(other, Err(PushError::OtherNonce { .. })));
        for broken in [
            Resource { key: None, ..table("a") },
            Resource { version: String::new(), ..table("a") },
            Resource { key: Some(name("cluster", "")), ..table("a") },
        ] {
            let taken = Collector::new(1 << 20).take(part("1", vec![broken], Vec::new(), false), &all());
            assert!(matches!(taken, Err(PushError::Malformed(_))));
        }
    }
}
