//! Versions of the resources in force.

use std::collections::HashMap;
use std::sync::Arc;

use ir::{Encoded, Key};

/// Which version of each resource was taken last.
#[derive(Debug, Default)]
pub(crate) struct Store {
    versions: HashMap<Key, Arc<str>>,
}

impl Store {
    /// Whether that very version is in force.
    pub(crate) fn has(&self, encoded: &Encoded) -> bool {
        self.versions.get(&encoded.key) == Some(&encoded.version)
    }

    pub(crate) fn put(&mut self, encoded: &Encoded) {
        self.versions.insert(encoded.key.clone(), Arc::clone(&encoded.version));
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, key: &Key) -> bool {
        self.versions.remove(key).is_some()
    }

    pub(crate) fn versions(&self) -> impl Iterator<Item = (&Key, &Arc<str>)> {
        self.versions.iter()
    }
}
