//! Sums over what one side has, by which the other finds out where it has the same (`Digest` in
//! `gateway/ir/proto/discovery.proto`). Resources come and go in any order without going through all of them again.

use std::fmt;
use std::hash::Hasher as _;

use fnv::FnvHasher;
use ir::{Key, Kind};
use sha2::{Digest as _, Sha256};

use crate::convert::{self, ConvertError};
use crate::discovery as message;

/// In how many parts the resources of a kind are compared: a few changed ones among ten thousand are found in a few dozen.
pub const BUCKETS: usize = 256;
/// Bytes of a sum.
const SUM: usize = 16;

/// The sums over the resources of a kind.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest(Box<[u128; BUCKETS]>);

impl Default for Digest {
    fn default() -> Self {
        Self(Box::new([0; BUCKETS]))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({:032x})", self.0.iter().fold(0_u128, |all, sum| all.wrapping_add(*sum)))
    }
}

/// The bucket that a resource is in.
#[must_use]
pub fn bucket(key: &Key) -> u8 {
    let mut hash = FnvHasher::default();
    hash.write(key.name.as_bytes());
    hash.finish().to_le_bytes()[0]
}

impl Digest {
    /// A resource more.
    pub fn add(&mut self, key: &Key, version: &str) {
        let sum = &mut self.0[usize::from(bucket(key))];
        *sum = sum.wrapping_add(share(key, version));
    }

    /// One less.
    pub fn remove(&mut self, key: &Key, version: &str) {
        let sum = &mut self.0[usize::from(bucket(key))];
        *sum = sum.wrapping_sub(share(key, version));
    }

    /// Where they differ, in order.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<u8> {
        (0..=u8::MAX).filter(|bucket| self.0[usize::from(*bucket)] != other.0[usize::from(*bucket)]).collect()
    }

    /// As it is sent.
    #[must_use]
    pub fn message(&self, kind: Kind) -> message::Digest {
        let sums = self.0.iter().flat_map(|sum| sum.to_be_bytes()).collect();
        message::Digest { kind: convert::kind_name(kind).to_owned(), sums }
    }

    /// As it was sent.
    ///
    /// # Errors
    /// When there is no such kind, or the sums are not as many.
    pub fn read(message: &message::Digest) -> Result<(Kind, Self), ConvertError> {
        let kind = convert::kind(&message.kind)?;
        if message.sums.len() != BUCKETS * SUM {
            return Err(ConvertError::NoDigest { kind });
        }
        let mut digest = Self::default();
        for (sum, bytes) in digest.0.iter_mut().zip(message.sums.chunks_exact(SUM)) {
            let mut one = [0; SUM];
            one.copy_from_slice(bytes);
            *sum = u128::from_be_bytes(one);
        }
        Ok((kind, digest))
    }
}

fn share(key: &Key, version: &str) -> u128 {
    let mut hash = Sha256::new();
    for part in [convert::kind_name(key.kind), &*key.name, version] {
        hash.update(part);
        // No text has this byte.
        hash.update([0xff]);
    }
    let mut first = [0; SUM];
    first.copy_from_slice(&hash.finalize()[..SUM]);
    u128::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key { kind: Kind::Cluster, name: name.into() }
    }

    #[test]
    fn the_way_there_does_not_matter_but_everything_else_does() {
        let (mut one, mut other) = (Digest::default(), Digest::default());
        one.add(&key("a"), "1");
        one.add(&key("b"), "2");
        for (name, version) in [("b", "1"), ("b", "2"), ("a", "1")] {
            other.add(&key(name), version);
        }
        assert_eq!(one.differing(&other), [bucket(&key("b"))]);
        other.remove(&key("b"), "1");
        assert_eq!(one, other);
        assert!(one.differing(&other).is_empty());
        let mut swapped = Digest::default();
        swapped.add(&key("a"), "2");
        swapped.add(&key("b"), "1");
        assert_eq!(one.differing(&swapped).len(), 2);
        assert_eq!(Digest::read(&one.message(Kind::Cluster)), Ok((Kind::Cluster, one)));
        let short = message::Digest { kind: "cluster".to_owned(), sums: vec![1] };
        assert_eq!(Digest::read(&short), Err(ConvertError::NoDigest { kind: Kind::Cluster }));
    }

    #[test]
    fn buckets_are_filled_evenly() {
        let mut filled = [0; BUCKETS];
        for index in 0..10_000 {
            let name = format!("outbound|80||service-{index}.namespace.svc.cluster.local");
            filled[usize::from(bucket(&key(&name)))] += 1;
        }
        assert!(filled.iter().all(|count| (1..100).contains(count)), "{filled:?}");
    }
}
