//! When to look at a file that something happened to: at once when its writer has finished, a moment later when that is
//! not known. A half-written or just truncated file must not be taken for what its writer means.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Joins the events of one save, and saves of several files.
const GATHER: Duration = Duration::from_millis(2);
/// How long a file without a sign of completion must be quiet.
const SETTLE: Duration = Duration::from_millis(20);
/// A file that is never quiet is looked at all the same.
const PATIENCE: Duration = Duration::from_millis(500);

/// What an event says about the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// The writer is done: the file was closed, or moved here.
    Finished,
    /// The writer may be in the middle of it.
    Busy,
    /// The content is not touched.
    Untouched,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    first: Instant,
    due: Instant,
    /// The file was looked at and in doubt: the next look counts.
    confirm: bool,
}

/// Files and the whole tree, waiting to be looked at.
#[derive(Debug, Default)]
pub(super) struct Pending {
    files: BTreeMap<PathBuf, Wait>,
    tree: Option<Wait>,
}

/// What is to be looked at now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// With whether what is found counts, however doubtful.
    pub(super) files: Vec<(PathBuf, bool)>,
    pub(super) tree: bool,
}

impl Pending {
    pub(super) fn file(&mut self, path: PathBuf, sign: Sign, now: Instant) {
        match self.files.get_mut(&path) {
            Some(wait) => wait.event(sign, now),
            None => {
                self.files.insert(path, Wait::new(sign, now));
            }
        }
    }

    pub(super) fn tree(&mut self, sign: Sign, now: Instant) {
        match &mut self.tree {
            Some(wait) => wait.event(sign, now),
            None => self.tree = Some(Wait::new(sign, now)),
        }
    }

    /// Looks again later, and then believes it.
    pub(super) fn confirm(&mut self, path: PathBuf, now: Instant) {
        self.files.insert(path, Wait { first: now, due: now + SETTLE, confirm: true });
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.files.values().chain(&self.tree).map(|wait| wait.due).min()
    }

    pub(super) fn take_due(&mut self, now: Instant) -> Due {
        let mut due = Due::default();
        self.files.retain(|path, wait| {
            let waits = wait.due > now;
            if !waits {
                due.files.push((path.clone(), wait.confirm));
            }
            waits
        });
        due.tree = self.tree.take_if(|wait| wait.due <= now).is_some();
        due
    }
}

impl Wait {
    fn new(sign: Sign, now: Instant) -> Self {
        let delay = if sign == Sign::Finished { GATHER } else { SETTLE };
        Self { first: now, due: now + delay, confirm: false }
    }

    fn event(&mut self, sign: Sign, now: Instant) {
        let due = match sign {
            Sign::Finished => now + GATHER,
            Sign::Busy => now + SETTLE,
            Sign::Untouched => return,
        };
        self.due = due.min(self.first + PATIENCE);
        self.confirm = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn a_finished_file_is_looked_at_at_once_and_a_busy_one_when_quiet() {
        let start = Instant::now();
        let mut pending = Pending::default();
        pending.file("a".into(), Sign::Busy, start);
        pending.file("b".into(), Sign::Busy, start);
        pending.file("a".into(), Sign::Finished, at(start, 1));
        assert_eq!(pending.next(), Some(at(start, 3)));
        assert_eq!(pending.take_due(at(start, 3)), Due { files: vec![("a".into(), false)], tree: false });
        pending.file("b".into(), Sign::Busy, at(start, 15));
        assert_eq!(pending.take_due(at(start, 30)), Due::default());
        assert_eq!(pending.take_due(at(start, 35)).files, [("b".into(), false)]);
        assert_eq!(pending.next(), None);
    }

    #[test]
    fn doubt_is_resolved_by_a_second_look_unless_something_happens_again() {
        let start = Instant::now();
        let mut pending = Pending::default();
        pending.confirm("a".into(), start);
        assert_eq!(pending.take_due(at(start, 20)).files, [("a".into(), true)]);
        pending.confirm("a".into(), start);
        pending.file("a".into(), Sign::Busy, at(start, 10));
        assert_eq!(pending.take_due(at(start, 30)).files, [("a".into(), false)]);
    }

    #[test]
    fn a_file_that_is_never_quiet_is_looked_at_nevertheless() {
        let start = Instant::now();
        let mut pending = Pending::default();
        for millis in (0..600).step_by(10) {
            pending.file("a".into(), Sign::Busy, at(start, millis));
        }
        assert_eq!(pending.next(), Some(at(start, 500)));
        pending.tree(Sign::Untouched, start);
        assert!(pending.take_due(at(start, 20)).tree);
    }
}
