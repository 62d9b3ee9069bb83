//! How many connections are being opened to an endpoint. An address that does not answer must not take the process's
//! descriptors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The count of one endpoint, shared by all threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending(Arc<AtomicU32>);

/// Counts a connection as being opened for as long as this lives.
#[derive(Debug)]
pub(crate) struct Opening(Arc<AtomicU32>);

impl Pending {
    /// Room for one more below `limit`.
    pub(crate) fn enter(&self, limit: u32) -> Option<Opening> {
        let enter = |count: u32| (count < limit).then_some(count + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter).ok()?;
        Some(Opening(Arc::clone(&self.0)))
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_given_back() {
        let pending = Pending::default();
        let first = pending.enter(2).unwrap();
        let _second = pending.clone().enter(2).unwrap();
        assert!(pending.enter(2).is_none());
        drop(first);
        assert!(pending.enter(2).is_some());
    }
}
