//! One step from changed files to changed resources, without waiting for anything: store, world, translation, and what
//! of the result the proxy does not have yet.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ir::{Delta, Key};
use translate::{ProxyScope, Translator, World};

use crate::diagnostic::Diagnostic;
use crate::event::Event;
use crate::routes::RouteMarks;
use crate::source::FileChange;
use crate::store::{Adjust, PlacedReports, Store, StoreChange};

/// The control plane of one proxy.
#[derive(Debug)]
pub struct Engine {
    store: Store,
    world: World,
    translator: Translator,
    /// Versions the proxy has.
    sent: HashMap<Key, Arc<str>>,
    routes: RouteMarks,
    placed: PlacedReports,
    reports_changed: bool,
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
    pub fn new(proxy: ProxyScope, adjust: Option<Adjust>) -> Self {
        Self {
            store: Store::new(adjust),
            world: World::default(),
            translator: Translator::new(proxy),
            sent: HashMap::new(),
            routes: RouteMarks::default(),
            placed: PlacedReports::default(),
            reports_changed: false,
            problems: Vec::new(),
            started: false,
        }
    }

    /// Takes changed files in. The first step brings the whole state, even if that is nothing. What is wrong is not
    /// looked at yet: a change must not wait for that ([`Engine::judge`]).
    pub fn step(&mut self, changes: Vec<FileChange>) -> Step {
        let StoreChange { changes, added, changed, removed, held } = self.store.apply(changes);
        let first = !std::mem::replace(&mut self.started, true);
        let mut event = Event { first, added, changed, removed, held, ..Event::default() };
        let mut delta = Delta::default();
        let (world, changes) = self.world.apply(changes);
        self.world = world;
        if first || !changes.is_empty() {
            let update = self.translator.update(&self.world, &changes);
            event.units_run = update.units_run;
            self.reports_changed |= update.reports_changed;
            event.routes = self.routes.update(update.changed.iter(), update.removed.iter());
            for resource in &update.changed {
                let encoded = ir::codec::encode(resource);
                let before = self.sent.insert(encoded.key.clone(), Arc::clone(&encoded.version));
                if before.as_ref() != Some(&encoded.version) {
                    delta.changed.push(encoded);
                }
            }
            delta.removed = update.removed.into_iter().filter(|key| self.sent.remove(key).is_some()).collect();
        } else {
            event.routes = self.routes.update(std::iter::empty(), std::iter::empty());
        }
        event.resources_changed = delta.changed.len();
        event.resources_removed = delta.removed.len();
        Step { delta, event }
    }

    /// Finds what is wrong after a step, and tells what of it is new and what is not wrong any more.
    pub fn judge(&mut self, event: &mut Event) {
        if std::mem::take(&mut self.reports_changed) || self.placed.is_outdated(&self.store) {
            self.placed.update(&self.store, self.translator.reports());
        }
        let mut problems = self.store.problems();
        problems.extend(self.placed.diagnostics().cloned());
        problems.sort_by(Diagnostic::in_order);
        problems.dedup();
        let known: HashSet<_> = self.problems.iter().map(Diagnostic::essence).collect();
        let now: HashSet<_> = problems.iter().map(Diagnostic::essence).collect();
        event.problems = problems.iter().filter(|problem| !known.contains(&problem.essence())).cloned().collect();
        event.healed = self.problems.iter().filter(|problem| !now.contains(&problem.essence())).cloned().collect();
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

    /// The objects in force.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }
}
