//! How far each change of a scope has got: which proxies have it, and how long that took.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crds::ObjectKey;

use super::log::Cursor;

/// How long proxies took to a point. Outlives the step for the objects that refer to it.
#[derive(Debug)]
pub(crate) struct Waits {
    /// When the first of the step's changes was noticed.
    noticed: Instant,
    waits: Mutex<Vec<Duration>>,
}

impl Waits {
    pub(crate) fn all(&self) -> Vec<Duration> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Steps that some proxy has not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    open: BTreeMap<Cursor, Step>,
}

#[derive(Debug)]
struct Step {
    waits: Arc<Waits>,
    objects: Vec<ObjectKey>,
    /// How many proxies that count have not answered it.
    missing: usize,
}

/// What an answer finished.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    /// Objects whose change every proxy has now.
    pub(crate) done: Vec<ObjectKey>,
    /// Objects whose change one more proxy has.
    pub(crate) advanced: Vec<ObjectKey>,
    /// From notice to answer, for every step answered.
    pub(crate) waits: Vec<Duration>,
}

impl Steps {
    pub(crate) fn begin(
        &mut self,
        at: Cursor,
        noticed: Instant,
        objects: Vec<ObjectKey>,
        members: usize,
    ) -> Arc<Waits> {
        let waits = Arc::new(Waits { noticed, waits: Mutex::default() });
        if members > 0 {
            self.open.insert(at, Step { waits: Arc::clone(&waits), objects, missing: members });
        }
        waits
    }

    /// A proxy that stood at `before` is at `cursor` now.
    pub(crate) fn answered(&mut self, before: Cursor, cursor: Cursor, now: Instant) -> Finished {
        let mut finished = Finished::default();
        if cursor <= before {
            return finished;
        }
        let mut over = Vec::new();
        for (at, step) in self.open.range_mut(before + 1..=cursor) {
            let wait = now.saturating_duration_since(step.waits.noticed);
            step.waits.waits.lock().unwrap_or_else(PoisonError::into_inner).push(wait);
            finished.waits.push(wait);
            step.missing = step.missing.saturating_sub(1);
            if step.missing == 0 {
                over.push(*at);
            } else {
                finished.advanced.extend(step.objects.iter().cloned());
            }
        }
        for at in over {
            finished.done.extend(self.open.remove(&at).map(|step| step.objects).unwrap_or_default());
        }
        finished
    }

    /// A proxy that stands at `cursor` counts from now on.
    pub(crate) fn joined(&mut self, cursor: Cursor) {
        for (_, step) in self.open.range_mut(cursor + 1..) {
            step.missing += 1;
        }
    }

    /// A proxy that stood at `cursor` counts no more.
    pub(crate) fn left(&mut self, cursor: Cursor) -> Vec<ObjectKey> {
        let mut done = Vec::new();
        let mut over = Vec::new();
        for (at, step) in self.open.range_mut(cursor + 1..) {
            step.missing = step.missing.saturating_sub(1);
            if step.missing == 0 {
                over.push(*at);
            }
        }
        for at in over {
            done.extend(self.open.remove(&at).map(|step| step.objects).unwrap_or_default());
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use crds::ObjectKind;

    use super::*;

    #[test]
    fn a_change_is_over_when_everybody_who_counts_has_it() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let key = |name: &str| ObjectKey::new(ObjectKind::VirtualService, "shop", name);
        let mut steps = Steps::default();
        let one = steps.begin(2, start, vec![key("a")], 2);
        let two = steps.begin(3, after(5), vec![key("b")], 2);
        let finished = steps.answered(1, 3, after(10));
        assert!(finished.done.is_empty());
        assert_eq!(finished.advanced, [key("a"), key("b")]);
        assert_eq!(steps.answered(3, 3, after(10)).advanced, []);
        assert_eq!(steps.answered(1, 2, after(12)).done, [key("a")]);
        // The one that is still at 2 leaves.
        assert_eq!(steps.left(2), [key("b")]);
        assert!(steps.open.is_empty());
        assert_eq!(one.all(), [Duration::from_millis(10), Duration::from_millis(12)]);
        assert_eq!(two.all(), [Duration::from_millis(5)]);
    }
}
