//! What has been noticed and not been taken yet: the changes of each object joined, so that it is never more than there
//! are objects. Pure.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use crds::{ObjectKey, ObjectKind};

use super::{KubeBatch, ObjectEvent, SecretRef};

/// What a watch has to say.
#[derive(Debug)]
pub(super) enum Note {
    /// Boxed: notes lie in queues.
    Event(Box<ObjectEvent>, Instant),
    /// Every object of the kind has been told.
    Complete(ObjectKind),
    /// The state of a secret is known.
    Answered(SecretRef),
    /// A secret is not watched any more.
    Closed(SecretRef),
}

#[derive(Debug)]
pub(super) struct Pending {
    /// Kinds that have not been listed yet. Nothing is told before all of them are: a route whose cluster has not been
    /// read yet would lead to nowhere.
    waiting: BTreeSet<ObjectKind>,
    told: bool,
    slots: Vec<Slot>,
    by_key: HashMap<ObjectKey, usize>,
    answered: Vec<SecretRef>,
    noticed: Option<Instant>,
}

/// What happened to one object, in this order.
#[derive(Debug)]
struct Slot {
    key: ObjectKey,
    deleted: bool,
    applied: Option<Box<ObjectEvent>>,
    unreadable: Option<Box<ObjectEvent>>,
}

impl Pending {
    pub(super) fn new(kinds: impl IntoIterator<Item = ObjectKind>) -> Self {
        Self {
            waiting: kinds.into_iter().collect(),
            told: false,
            slots: Vec::new(),
            by_key: HashMap::new(),
            answered: Vec::new(),
            noticed: None,
        }
    }

    pub(super) fn take(&mut self, note: Note) {
        match note {
            Note::Event(event, noticed) => {
                self.event(event);
                self.noticed.get_or_insert(noticed);
            }
            Note::Complete(kind) => {
                self.waiting.remove(&kind);
            }
            Note::Answered(secret) => {
                if !self.answered.contains(&secret) {
                    self.answered.push(secret);
                }
            }
            Note::Closed(secret) => self.answered.retain(|answered| *answered != secret),
        }
    }

    fn event(&mut self, event: Box<ObjectEvent>) {
        let key = event.key();
        let index = *self.by_key.entry(key.clone()).or_insert_with(|| {
            self.slots.push(Slot { key, deleted: false, applied: None, unreadable: None });
            self.slots.len() - 1
        });
        let Some(slot) = self.slots.get_mut(index) else { return };
        match *event {
            ObjectEvent::Deleted { .. } => {
                (slot.deleted, slot.applied, slot.unreadable) = (true, None, None);
            }
            ObjectEvent::Applied { .. } => {
                (slot.deleted, slot.applied, slot.unreadable) = (false, Some(event), None);
            }
            // What is in force until it can be read again is the version before.
            ObjectEvent::Unreadable { .. } => slot.unreadable = Some(event),
        }
    }

    /// Kinds that have not been listed yet.
    pub(super) fn waiting(&self) -> impl Iterator<Item = ObjectKind> {
        self.waiting.iter().copied()
    }

    /// Whether there is something to tell.
    pub(super) fn is_ready(&self) -> bool {
        self.waiting.is_empty() && (!self.told || !self.slots.is_empty() || !self.answered.is_empty())
    }

    /// Everything, in the order in which each object was first noticed.
    pub(super) fn batch(&mut self) -> KubeBatch {
        self.told = true;
        self.by_key = HashMap::new();
        let mut events = Vec::with_capacity(self.slots.len());
        for Slot { key, deleted, applied, unreadable } in std::mem::take(&mut self.slots) {
            if deleted {
                events.push(ObjectEvent::Deleted { key });
            }
            events.extend(applied.into_iter().chain(unreadable).map(|event| *event));
        }
        KubeBatch {
            events,
            answered: std::mem::take(&mut self.answered),
            noticed: self.noticed.take().unwrap_or_else(Instant::now),
            synced: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crds::{Body, Meta, Object};

    use super::super::Revision;
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(ObjectKind::Namespace, "", name)
    }

    fn revision(version: &str) -> Revision {
        Revision {
            uid: "u".to_owned(),
            generation: 1,
            resource_version: version.to_owned(),
            api_version: "v1".to_owned(),
            noticed: Instant::now(),
            status: None,
        }
    }

    fn applied(name: &str, version: &str) -> Note {
        let meta = Meta { name: name.to_owned(), ..Meta::default() };
        let object = Arc::new(Object { meta, body: Body::Namespace });
        Note::Event(Box::new(ObjectEvent::Applied { object, revision: revision(version) }), Instant::now())
    }

    fn unreadable(name: &str, version: &str) -> Note {
        let event = ObjectEvent::Unreadable { key: key(name), revision: revision(version), errors: Vec::new() };
        Note::Event(Box::new(event), Instant::now())
    }

    fn deleted(name: &str) -> Note {
        Note::Event(Box::new(ObjectEvent::Deleted { key: key(name) }), Instant::now())
    }

    fn told(notes: Vec<Note>) -> Vec<String> {
        let mut pending = Pending::new([]);
        notes.into_iter().for_each(|note| pending.take(note));
        let show = |event: ObjectEvent| match event {
            ObjectEvent::Applied { object, revision } => format!("{}={}", object.meta.name, revision.resource_version),
            ObjectEvent::Unreadable { key, revision, .. } => format!("{}!{}", key.name, revision.resource_version),
            ObjectEvent::Deleted { key } => format!("-{}", key.name),
        };
        pending.batch().events.into_iter().map(show).collect()
    }

    #[test]
    fn changes_of_one_object_are_joined() {
        assert_eq!(told(vec![applied("a", "1"), applied("b", "2"), applied("a", "3")]), ["a=3", "b=2"]);
        assert_eq!(told(vec![applied("a", "1"), deleted("a")]), ["-a"]);
        assert_eq!(told(vec![deleted("a"), applied("a", "2")]), ["a=2"]);
        assert_eq!(told(vec![applied("a", "1"), deleted("a"), applied("a", "3"), deleted("a")]), ["-a"]);
    }

    #[test]
    fn the_last_good_version_is_not_lost_to_an_unreadable_one() {
        assert_eq!(told(vec![applied("a", "1"), unreadable("a", "2"), unreadable("a", "3")]), ["a=1", "a!3"]);
        assert_eq!(told(vec![unreadable("a", "1"), applied("a", "2")]), ["a=2"]);
        // Nor does an object inherit one from another that had its name.
        assert_eq!(told(vec![applied("a", "1"), deleted("a"), unreadable("a", "2")]), ["-a", "a!2"]);
    }

    #[test]
    fn nothing_is_told_before_every_kind_is_complete() {
        let mut pending = Pending::new([ObjectKind::Node, ObjectKind::Namespace]);
        let first = Instant::now();
        pending.take(applied("a", "1"));
        pending.take(Note::Complete(ObjectKind::Namespace));
        pending.take(Note::Complete(ObjectKind::Namespace));
        assert!(!pending.is_ready());
        assert_eq!(pending.waiting().collect::<Vec<_>>(), [ObjectKind::Node]);
        pending.take(Note::Complete(ObjectKind::Node));
        assert!(pending.is_ready());
        let batch = pending.batch();
        assert_eq!((batch.events.len(), batch.synced), (1, true));
        assert!(batch.noticed >= first);
        assert!(!pending.is_ready());
    }

    #[test]
    fn an_empty_cluster_is_told_as_well_and_once() {
        let mut pending = Pending::new([ObjectKind::Node]);
        pending.take(Note::Complete(ObjectKind::Node));
        assert!(pending.is_ready() && pending.batch().events.is_empty());
        assert!(!pending.is_ready());
    }

    #[test]
    fn answers_about_secrets_are_told_unless_nobody_wants_them_any_more() {
        let secret = |name: &str| SecretRef { namespace: "ns".to_owned(), name: name.to_owned() };
        let mut pending = Pending::new([]);
        pending.batch();
        for note in [Note::Answered(secret("a")), Note::Answered(secret("b")), Note::Answered(secret("b"))] {
            pending.take(note);
        }
        pending.take(Note::Closed(secret("a")));
        assert!(pending.is_ready());
        assert_eq!(pending.batch().answered, [secret("b")]);
        assert!(!pending.is_ready());
    }
}
