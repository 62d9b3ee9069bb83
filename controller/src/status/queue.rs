//! Which objects are to be looked at, and when: what somebody may be waiting for first, each object once however often
//! it is named, failures after a pause that grows. Takes the time as given.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crds::ObjectKey;

/// How soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Lazy,
    Urgent,
}

#[derive(Debug)]
struct Entry {
    class: Class,
    due: Instant,
}

/// Objects to be looked at.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: HashMap<ObjectKey, Entry>,
    urgent: BTreeSet<(Instant, ObjectKey)>,
    lazy: BTreeSet<(Instant, ObjectKey)>,
    failures: HashMap<ObjectKey, u32>,
}

impl Queue {
    /// Puts an object on the list, or moves it forward.
    pub(super) fn add(&mut self, key: ObjectKey, class: Class, due: Instant) {
        let (class, due) = match self.entries.get(&key) {
            Some(before) => (class.max(before.class), due.min(before.due)),
            None => (class, due),
        };
        self.remove(&key);
        self.list(class).insert((due, key.clone()));
        self.entries.insert(key, Entry { class, due });
    }

    /// Puts an object on the list again after a failure; tells the pause.
    pub(super) fn retry(&mut self, key: ObjectKey, now: Instant, first: Duration, most: Duration) -> Duration {
        let failures = self.failures.entry(key.clone()).or_insert(0);
        let pause = first.saturating_mul(1_u32.checked_shl(*failures).unwrap_or(u32::MAX)).min(most);
        *failures = (*failures + 1).min(16);
        self.add(key, Class::Urgent, now + pause);
        pause
    }

    /// It went well, or is over.
    pub(super) fn settled(&mut self, key: &ObjectKey) {
        self.failures.remove(key);
    }

    /// Takes what is due, urgent ones first.
    pub(super) fn take(&mut self, now: Instant, most: usize) -> Vec<ObjectKey> {
        let mut taken = Vec::new();
        for class in [Class::Urgent, Class::Lazy] {
            while taken.len() < most {
                let Some((due, key)) = self.list(class).first().cloned() else { break };
                if due > now {
                    break;
                }
                self.remove(&key);
                taken.push(key);
            }
        }
        taken
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Instant> {
        [&self.urgent, &self.lazy].into_iter().filter_map(|list| Some(list.first()?.0)).min()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn remove(&mut self, key: &ObjectKey) {
        if let Some(Entry { class, due }) = self.entries.remove(key) {
            self.list(class).remove(&(due, key.clone()));
        }
    }

    fn list(&mut self, class: Class) -> &mut BTreeSet<(Instant, ObjectKey)> {
        match class {
            Class::Urgent => &mut self.urgent,
            Class::Lazy => &mut self.lazy,
        }
    }
}

#[cfg(test)]
mod tests {
    use crds::ObjectKind;

    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(ObjectKind::Gateway, "shop", name)
    }

    #[test]
    fn urgent_before_lazy_and_everything_once() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.add(key("lazy"), Class::Lazy, now);
        queue.add(key("urgent"), Class::Urgent, now);
        queue.add(key("urgent"), Class::Lazy, now);
        queue.add(key("later"), Class::Urgent, now + Duration::from_secs(1));
        assert_eq!(queue.take(now, 1), [key("urgent")]);
        assert_eq!(queue.take(now, 9), [key("lazy")]);
        assert_eq!((queue.len(), queue.next()), (1, Some(now + Duration::from_secs(1))));
        queue.add(key("later"), Class::Lazy, now);
        assert_eq!(queue.take(now, 9), [key("later")], "moved forward");
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn pauses_grow_until_it_goes_well() {
        let (now, first, most) = (Instant::now(), Duration::from_millis(200), Duration::from_secs(1));
        let mut queue = Queue::default();
        let fail = |queue: &mut Queue| queue.retry(key("a"), now, first, most).as_millis();
        assert_eq!([fail(&mut queue), fail(&mut queue), fail(&mut queue), fail(&mut queue)], [200, 400, 800, 1_000]);
        for _ in 0..40 {
            fail(&mut queue);
        }
        queue.settled(&key("a"));
        assert_eq!(fail(&mut queue), 200);
        assert_eq!(queue.len(), 1);
    }
}
