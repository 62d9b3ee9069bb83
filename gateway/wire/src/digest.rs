//! A sum over what one side has, by which the other finds out that it has the same (`Digest` in
//! `gateway/ir/proto/discovery.proto`). Resources come and go in any order without going through all of them again.

use ir::{Key, Kind};
use sha2::{Digest as _, Sha256};

use crate::convert::{self, ConvertError};
use crate::discovery as message;

/// The sum over some resources of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u128);

impl Digest {
    /// A resource more.
    pub fn add(&mut self, key: &Key, version: &str) {
        self.0 = self.0.wrapping_add(share(key, version));
    }

    /// One less.
    pub fn remove(&mut self, key: &Key, version: &str) {
        self.0 = self.0.wrapping_sub(share(key, version));
    }

    /// As it is sent.
    #[must_use]
    pub fn message(self, kind: Kind) -> message::Digest {
        message::Digest { kind: convert::kind_name(kind).to_owned(), sum: self.0.to_be_bytes().to_vec().into() }
    }

    /// As it was sent.
    ///
    /// # Errors
    /// When there is no such kind, or the sum is none.
    pub fn read(message: &message::Digest) -> Result<(Kind, Self), ConvertError> {
        let kind = convert::kind(&message.kind)?;
        let sum = <[u8; 16]>::try_from(&*message.sum).map_err(|_| ConvertError::NoDigest { kind })?;
        Ok((kind, Self(u128::from_be_bytes(sum))))
    }
}

fn share(key: &Key, version: &str) -> u128 {
    let mut hash = Sha256::new();
    for part in [convert::kind_name(key.kind), &*key.name, version] {
        hash.update(part);
        // No text has this byte.
        hash.update([0xff]);
    }
    let mut first = [0; 16];
    first.copy_from_slice(&hash.finalize()[..16]);
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
        assert_ne!(one, other);
        other.remove(&key("b"), "1");
        assert_eq!(one, other);
        let mut swapped = Digest::default();
        swapped.add(&key("a"), "2");
        swapped.add(&key("b"), "1");
        assert_ne!(one, swapped);
        assert_eq!(Digest::read(&one.message(Kind::Cluster)), Ok((Kind::Cluster, one)));
        let short = message::Digest { kind: "cluster".to_owned(), sum: vec![1].into() };
        assert_eq!(Digest::read(&short), Err(ConvertError::NoDigest { kind: Kind::Cluster }));
    }
}
