//! Pushes as messages that are small enough to send. Bodies are shared with the log, not copied.

use ir::Delta;
use wire::discovery::{Resource, ResourceName, Response};

use crate::fleet::size;

/// What a message may have in bodies and names, about. A resource that is larger goes alone. A proxy that does not read
/// costs a few times this, whatever there is to tell it.
pub(super) const PART_BYTES: usize = 128 << 10;

/// What all messages of a push have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope<'a> {
    pub(super) nonce: &'a str,
    pub(super) controller: &'a str,
}

impl Envelope<'_> {
    /// One message.
    pub(super) fn part(self, delta: &Delta, more: bool) -> Response {
        Response {
            nonce: self.nonce.to_owned(),
            changed: delta.changed.iter().map(Resource::from).collect(),
            removed: delta.removed.iter().map(ResourceName::from).collect(),
            more,
            controller: self.controller.to_owned(),
            ask: Vec::new(),
        }
    }

    /// As many messages as it takes, none for nothing. Others follow.
    pub(super) fn parts(self, delta: Delta) -> impl Iterator<Item = Response> {
        let mut removed = delta.removed.into_iter().peekable();
        let mut changed = delta.changed.into_iter().peekable();
        std::iter::from_fn(move || {
            let (mut part, mut filled) = (Delta::default(), 0);
            while filled < PART_BYTES
                && let Some(key) = removed.next()
            {
                filled += key.name.len() + 64;
                part.removed.push(key);
            }
            while let Some(resource) = changed.next_if(|one| filled == 0 || filled + size(one) <= PART_BYTES) {
                filled += size(&resource);
                part.changed.push(resource);
            }
            (!part.is_empty()).then(|| self.part(&part, true))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ir::{Encoded, Key, Kind};

    use super::*;

    #[test]
    fn large_pushes_are_cut_and_nothing_is_lost() {
        let key = |name: String| Key { kind: Kind::Cluster, name: name.into() };
        let resource = |index: usize, bytes: usize| Encoded {
            key: key(format!("c{index}")),
            version: Arc::from("v"),
            body: Arc::from(vec![b'x'; bytes]),
        };
        let mut changed: Vec<Encoded> = (0..100).map(|index| resource(index, 5_000)).collect();
        changed.push(resource(100, 3 << 20));
        let delta = Delta { changed, removed: (0..10_000).map(|index| key(format!("r{index}"))).collect() };
        let envelope = Envelope { nonce: "7", controller: "edge" };
        let parts: Vec<_> = envelope.parts(delta).collect();
        assert_eq!(parts.iter().map(|part| part.changed.len()).sum::<usize>(), 101);
        assert_eq!(parts.iter().map(|part| part.removed.len()).sum::<usize>(), 10_000);
        assert!(parts.len() > 8);
        for part in &parts {
            assert!(part.more && part.nonce == "7" && part.controller == "edge");
            let bytes: usize = part.changed.iter().map(|one| one.body.len()).sum();
            assert!(bytes <= PART_BYTES || part.changed.len() == 1, "{bytes}");
            assert!(part.removed.len() < 2_000);
        }
        assert_eq!(envelope.parts(Delta::default()).count(), 0);
    }
}
