//! How much may be made of one object: products are charged before they are built.

use std::hash::{DefaultHasher, Hasher as _};
use std::io;

/// What is still to be had of a bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) most: usize,
    left: usize,
}

impl Budget {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, left: most }
    }

    /// Takes an amount; false, and nothing taken, when there is not enough.
    #[must_use]
    pub(crate) fn take(&mut self, amount: usize) -> bool {
        let left = self.left.checked_sub(amount);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

/// About how many bytes a value takes: those of its JSON.
pub(crate) fn size(value: &impl serde::Serialize) -> usize {
    let mut counter = Counter(0);
    // A counter refuses nothing; keys of maps are texts.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

/// A number that equal values share, and different ones hardly ever.
pub(crate) fn digest(value: &impl serde::Serialize) -> u64 {
    let mut digest = Digest(DefaultHasher::new());
    let _ = serde_json::to_writer(&mut digest, value);
    digest.0.finish()
}

struct Digest(DefaultHasher);

impl io::Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_beyond_the_bound() {
        let mut budget = Budget::new(10);
        assert!(budget.take(7) && !budget.take(4) && budget.take(3) && !budget.take(1));
        assert_eq!(size(&"abc"), 5);
    }
}
