//! One step of following the world: what is still to be run, and what has changed for the proxy.

use std::collections::{BTreeMap, BTreeSet};

use crds::ObjectKey;
use ir::{Encoded, Key, Resource};

use crate::translator::Update;
use crate::unit::{Unit, UnitId};

/// What an update has still to do, and what it did.
#[derive(Default)]
pub(crate) struct Step {
    pub(crate) dirty: BTreeSet<UnitId>,
    pub(crate) changed: BTreeMap<Key, (Resource, Encoded)>,
    pub(crate) removed: BTreeSet<Key>,
    pub(crate) units_run: usize,
    pub(crate) reports_changed: bool,
    pub(crate) reported: BTreeSet<ObjectKey>,
}

impl Step {
    /// Notes what a unit's new result means for the proxy and for readers of reports.
    pub(crate) fn compare(&mut self, old: &Unit, new: &mut Unit) {
        if old.reports != new.reports {
            self.reports_changed = true;
            self.reported.extend(old.reports.iter().chain(&new.reports).map(|report| report.object.clone()));
        }
        for key in old.resources.keys().filter(|key| new.resources.version(key).is_none()) {
            self.removed.insert(key.clone());
        }
        for (encoded, resource) in new.resources.settle() {
            if old.resources.version(&encoded.key) != Some(&*encoded.version) {
                self.changed.insert(encoded.key.clone(), (resource, encoded.clone()));
            }
        }
    }

    pub(crate) fn finish(self) -> Update {
        let Self { dirty: _, changed, removed, units_run, reports_changed, reported } = self;
        let removed = removed.into_iter().filter(|key| !changed.contains_key(key)).collect();
        let (changed, encoded) = changed.into_values().unzip();
        Update { changed, encoded, removed, units_run, reports_changed, reported }
    }
}
