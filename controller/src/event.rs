//! What one change did, for whoever tells people.

use std::time::Duration;

use crds::ObjectKey;

use crate::diagnostic::{Diagnostic, Severity};

/// One change, from its being noticed to its being in force.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// This is the state at start, not a change of it.
    pub first: bool,
    pub added: Vec<ObjectKey>,
    pub changed: Vec<ObjectKey>,
    pub removed: Vec<ObjectKey>,
    /// Objects whose text is wrong and whose last good version stays in force.
    pub held: Vec<ObjectKey>,
    pub routes: RouteEffect,
    /// How many translations were run.
    pub units_run: usize,
    /// Resources of the proxy that were sent, and taken away.
    pub resources_changed: usize,
    pub resources_removed: usize,
    /// Problems that were not there before.
    pub problems: Vec<Diagnostic>,
    /// Problems that are not there any more.
    pub healed: Vec<Diagnostic>,
    /// All that are there now.
    pub errors: usize,
    pub warnings: usize,
    /// Resources the proxy could not use.
    pub rejected: Vec<(ir::Key, String)>,
    /// From the notice of the change until requests see it.
    pub took: Duration,
}

/// What a change did to routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteEffect {
    pub added: usize,
    pub changed: usize,
    pub removed: usize,
    /// How many there are now.
    pub total: usize,
}

impl RouteEffect {
    pub(crate) fn add(&mut self, other: Self) {
        let Self { added, changed, removed, total: _ } = other;
        self.added += added;
        self.changed += changed;
        self.removed += removed;
    }
}

impl Event {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        let quiet = self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty();
        quiet && self.problems.is_empty() && self.healed.is_empty() && self.rejected.is_empty() && !self.first
    }

    pub(crate) fn count(&mut self, problems: &[Diagnostic]) {
        self.errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        self.warnings = problems.iter().filter(|problem| problem.severity == Severity::Warning).count();
    }
}
