//! A push cut into messages that are small enough to send. Bodies are shared with the log, not copied.

use ir::{Delta, Encoded};
use wire::discovery::{Resource, ResourceName, Response};

/// What a message may have in bodies and names, about. A resource that is larger goes alone.
pub(super) const PART_BYTES: usize = 1 << 20;

/// The messages of one push, in order; at least one.
pub(super) fn parts(delta: &Delta, nonce: &str, controller: &str) -> Vec<Response> {
    let empty = || Response {
        nonce: nonce.to_owned(),
        changed: Vec::new(),
        removed: Vec::new(),
        more: true,
        controller: controller.to_owned(),
    };
    let mut parts = vec![empty()];
    let mut filled = 0;
    let mut last = |bytes: usize, parts: &mut Vec<Response>| {
        if filled > 0 && filled + bytes > PART_BYTES {
            parts.push(empty());
            filled = 0;
        }
        filled += bytes;
    };
    for key in &delta.removed {
        last(key.name.len() + 32, &mut parts);
        parts.last_mut().expect("there is always one").removed.push(ResourceName::from(key));
    }
    for resource in &delta.changed {
        last(size(resource), &mut parts);
        parts.last_mut().expect("there is always one").changed.push(Resource::from(resource));
    }
    parts.last_mut().expect("there is always one").more = false;
    parts
}

/// About how many bytes a resource takes.
pub(super) fn size(resource: &Encoded) -> usize {
    resource.body.len() + resource.key.name.len() + 64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ir::{Key, Kind};

    use super::*;

    #[test]
    fn large_pushes_are_cut_and_nothing_is_lost() {
        let key = |name: String| Key { kind: Kind::Cluster, name: name.into() };
        let resource = |index: usize, bytes: usize| Encoded {
            key: key(format!("c{index}")),
            version: Arc::from("v"),
            body: Arc::from(vec![b'x'; bytes]),
        };
        let mut changed: Vec<Encoded> = (0..100).map(|index| resource(index, 50_000)).collect();
        changed.push(resource(100, 3 << 20));
        let delta = Delta { changed, removed: (0..10).map(|index| key(format!("r{index}"))).collect() };
        let parts = parts(&delta, "7", "edge");
        assert_eq!(parts.iter().map(|part| part.changed.len()).sum::<usize>(), 101);
        assert_eq!(parts.iter().map(|part| part.removed.len()).sum::<usize>(), 10);
        assert!(parts.len() > 5);
        for (index, part) in parts.iter().enumerate() {
            assert_eq!(part.more, index + 1 < parts.len());
            assert_eq!(part.nonce, "7");
            let bytes: usize = part.changed.iter().map(|one| one.body.len()).sum();
            assert!(bytes <= PART_BYTES || part.changed.len() == 1, "{bytes}");
        }
        assert_eq!(super::parts(&Delta::default(), "1", "edge").len(), 1);
    }
}
