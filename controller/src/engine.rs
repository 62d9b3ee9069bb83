//! One step from changed files to changed resources, without waiting for anything: store, world, translation, and what
//! of the result the proxy does not have yet.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use crds::ObjectKey;
use ir::{Delta, Encoded, Key};
use translate::{ProxyScope, TranslationLimits, Update, World};

use crate::diagnostic::{Diagnostic, Severity};
use crate::event::Event;
use crate::routes::RouteMarks;
use crate::source::FileChange;
use crate::store::{Adjust, PlacedReports, Store, StoreChange, is_across};
use crate::translation::{Advance, Translation};

/// The control plane of one proxy.
#[derive(Debug)]
pub struct Engine {
    store: Store,
    translation: Translation,
    /// Objects whose latest version could not be translated.
    failed: BTreeSet<ObjectKey>,
    /// Versions the proxy has.
    sent: HashMap<Key, Arc<str>>,
    routes: RouteMarks,
    placed: PlacedReports,
    /// What happened since problems were looked at.
    reports_changed: bool,
    touched: BTreeSet<ObjectKey>,
    dirty: BTreeSet<Option<PathBuf>>,
    problems: Vec<Diagnostic>,
    started: bool,
}

/// What a step brought.
#[derive(Debug)]
pub struct Step {
    pub delta: Delta,
    /// Without what is wrong, and without the proxy's part: what it rejected and how long it took.
    pub event: Event,
}

impl Engine {
    #[must_use]
    pub fn new(proxy: ProxyScope, limits: TranslationLimits, adjust: Option<Adjust>) -> Self {
        Self {
            store: Store::new(adjust),
            translation: Translation::new(proxy, limits),
            failed: BTreeSet::new(),
            sent: HashMap::new(),
            routes: RouteMarks::default(),
            placed: PlacedReports::default(),
            reports_changed: false,
            touched: BTreeSet::new(),
            dirty: BTreeSet::new(),
            problems: Vec::new(),
            started: false,
        }
    }

    /// Takes changed files in. The first step brings the whole state, even if that is nothing. What is wrong is not
    /// looked at yet: a change must not wait for that ([`Engine::judge`]).
    pub fn step(&mut self, changes: Vec<FileChange>) -> Step {
        self.dirty.extend(changes.iter().map(|change| Some(change.path.clone())));
        let StoreChange { changes, added, changed, removed, held, touched } = self.store.apply(changes);
        self.touched.extend(touched);
        let first = !std::mem::replace(&mut self.started, true);
        let mut event = Event { first, added, changed, removed, held, ..Event::default() };
        for key in event.added.iter().chain(&event.changed).chain(&event.removed) {
            self.failed.remove(key);
        }
        let Advance { updates, failed } = self.translation.advance(changes);
        self.failed.extend(failed);
        let mut outgoing = Outgoing::default();
        for update in updates {
            event.units_run += update.units_run;
            event.routes.add(self.routes.update(&update));
            self.reports_changed |= update.reports_changed;
            outgoing.take(update, &mut self.sent);
        }
        event.routes.total = self.routes.total();
        let delta = outgoing.finish();
        event.resources_changed = delta.changed.len();
        event.resources_removed = delta.removed.len();
        Step { delta, event }
    }

    /// Finds what is wrong after a step, and tells what of it is new and what is not wrong any more.
    pub fn judge(&mut self, event: &mut Event) {
        let touched = std::mem::take(&mut self.touched);
        let mut dirty = std::mem::take(&mut self.dirty);
        // What belongs to no file is always looked at.
        dirty.insert(None);
        if std::mem::take(&mut self.reports_changed) {
            let reports: Vec<translate::Report> = self.translation.reports().collect();
            self.placed.update(&self.store, reports.iter(), &mut dirty);
        } else {
            self.placed.refresh(&self.store, &touched, &mut dirty);
        }
        let is_dirty = |problem: &Diagnostic| is_across(problem) || dirty.contains(&problem.file);
        let (before, mut problems): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.problems).into_iter().partition(is_dirty);
        let placed = self.placed.diagnostics().filter(|problem| dirty.contains(&problem.file));
        let mut now: Vec<Diagnostic> = self.store.problems_in(dirty.iter().flatten()).chain(placed).cloned().collect();
        now.extend(self.store.problems_across());
        now.extend(self.failed.iter().map(internal_error));
        now.sort_by(Diagnostic::in_order);
        now.dedup();
        event.problems = without(&now, &before);
        event.healed = without(&before, &now);
        problems.extend(now);
        problems.sort_by(Diagnostic::in_order);
        event.count(&problems);
        self.problems = problems;
    }

    /// Everything that was wrong at the last [`Engine::judge`].
    #[must_use]
    pub fn problems(&self) -> &[Diagnostic] {
        &self.problems
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where the proxy listens for connections to a port as its clients call it.
    #[must_use]
    pub fn listening_port(&self, port: u16) -> u16 {
        self.translation.listening_port(port)
    }

    /// The objects in force.
    #[must_use]
    pub fn world(&self) -> &World {
        self.translation.world()
    }
}

/// Those of some problems that are not among others, wherever they have moved.
fn without(problems: &[Diagnostic], others: &[Diagnostic]) -> Vec<Diagnostic> {
    let others: HashSet<_> = others.iter().map(Diagnostic::essence).collect();
    problems.iter().filter(|problem| !others.contains(&problem.essence())).cloned().collect()
}

fn internal_error(key: &ObjectKey) -> Diagnostic {
    let message = "this version could not be translated, which is a bug in Sluice; the one before stays in force";
    Diagnostic::new(Severity::Error, "InternalError", message).about(key, "")
}

/// What goes to the proxy: only what it does not have.
#[derive(Default)]
struct Outgoing {
    changed: BTreeMap<Key, Encoded>,
    removed: BTreeSet<Key>,
}

impl Outgoing {
    fn take(&mut self, update: Update, sent: &mut HashMap<Key, Arc<str>>) {
        for encoded in update.encoded {
            let before = sent.insert(encoded.key.clone(), Arc::clone(&encoded.version));
            if before.as_ref() != Some(&encoded.version) {
                self.removed.remove(&encoded.key);
                self.changed.insert(encoded.key.clone(), encoded);
            }
        }
        for key in update.removed {
            if sent.remove(&key).is_some() {
                self.changed.remove(&key);
                self.removed.insert(key);
            }
        }
    }

    fn finish(self) -> Delta {
        Delta { changed: self.changed.into_values().collect(), removed: self.removed.into_iter().collect() }
    }
}
