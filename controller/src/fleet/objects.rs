//! What is known of each object users get a status for: its latest version, what is wrong with it, and whether an older
//! one is in force instead (docs/semantics.md §1.8).

use std::collections::HashMap;
use std::sync::Arc;

use crds::{Object, ObjectKey, ObjectKind};
use translate::{Change, Report, Severity};

use crate::source::kube::{ObjectEvent, Revision};

/// What is known of an object.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) revision: Arc<Revision>,
    /// Why the latest version cannot be read.
    pub(crate) unreadable: Vec<String>,
    /// What is wrong with the latest version by itself.
    pub(crate) own: Vec<Report>,
    /// The latest version is not in force.
    pub(crate) held: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    known: HashMap<ObjectKey, Known>,
}

/// What an event means.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) key: ObjectKey,
    /// For the world.
    pub(crate) change: Option<Change>,
    /// Users get a status for it.
    pub(crate) has_status: bool,
}

/// Whether objects of a kind have a status that says what became of them.
pub(crate) fn has_status(kind: ObjectKind) -> bool {
    kind.group().ends_with(".istio.io") || kind == ObjectKind::Ingress
}

impl Objects {
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<&Known> {
        self.known.get(key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.known.keys()
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Decides what an event changes.
    pub(crate) fn take(&mut self, event: ObjectEvent) -> Taken {
        match event {
            ObjectEvent::Applied { object, revision } => self.applied(object, revision),
            ObjectEvent::Unreadable { key, revision, errors } => self.unreadable(key, revision, errors),
            ObjectEvent::Deleted { key } => {
                self.known.remove(&key);
                Taken { has_status: false, change: Some(Change::Remove(key.clone())), key }
            }
        }
    }

    fn applied(&mut self, object: Arc<Object>, revision: Revision) -> Taken {
        let key = object.key();
        if !has_status(key.kind) {
            return Taken { key, change: Some(Change::Upsert(object)), has_status: false };
        }
        let own = translate::validate(&object);
        let refused = own.iter().any(|report| report.problem.severity() == Severity::Error);
        let change = if refused { self.without_good(&key, &revision) } else { Some(Change::Upsert(object)) };
        self.keep(&key, Known { revision: Arc::new(revision), unreadable: Vec::new(), own, held: refused });
        Taken { key, change, has_status: true }
    }

    fn unreadable(&mut self, key: ObjectKey, revision: Revision, errors: Vec<String>) -> Taken {
        let change = self.without_good(&key, &revision);
        let has_status = has_status(key.kind);
        if has_status {
            let own = Vec::new();
            self.keep(&key, Known { revision: Arc::new(revision), unreadable: errors, own, held: true });
        }
        Taken { key, change, has_status }
    }

    /// What stays of an object whose latest version is no good: the one before, unless that was another object of the
    /// same name.
    fn without_good(&self, key: &ObjectKey, revision: &Revision) -> Option<Change> {
        let other = self.known.get(key).is_some_and(|known| known.revision.uid != revision.uid);
        other.then(|| Change::Remove(key.clone()))
    }

    fn keep(&mut self, key: &ObjectKey, known: Known) {
        self.known.insert(key.clone(), known);
    }
}
