//! How many routes a change added, changed and removed: a number for people, of no consequence for proxies.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use ir::{Resource, RouteGroup};
use translate::Update;

use crate::event::RouteEffect;

/// A mark for each route of each group.
#[derive(Debug, Default)]
pub(crate) struct RouteMarks {
    groups: HashMap<String, Vec<u64>>,
    total: usize,
}

impl RouteMarks {
    /// What an update did; `total` is left to [`RouteMarks::total`].
    pub(crate) fn update(&mut self, update: &Update) -> RouteEffect {
        let mut effect = RouteEffect::default();
        for resource in &update.changed {
            let Resource::RouteGroup(group) = resource else { continue };
            let marks = marks(group);
            let before = self.groups.insert(group.name.clone(), marks.clone()).unwrap_or_default();
            self.compare(&before, &marks, &mut effect);
        }
        for key in update.removed.iter().filter(|key| key.kind == ir::Kind::RouteGroup) {
            let before = self.groups.remove(&*key.name).unwrap_or_default();
            self.compare(&before, &[], &mut effect);
        }
        effect
    }

    /// How many routes there are.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    fn compare(&mut self, before: &[u64], after: &[u64], effect: &mut RouteEffect) {
        let gone = without(before, after);
        let new = without(after, before);
        let changed = gone.min(new);
        effect.added += new - changed;
        effect.removed += gone - changed;
        effect.changed += changed;
        self.total = self.total + after.len() - before.len();
    }
}

fn marks(group: &RouteGroup) -> Vec<u64> {
    let mark = |route: &ir::Route| {
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(route).unwrap_or_default().hash(&mut hasher);
        hasher.finish()
    };
    // The same rule compiled for several gateways is one rule to people.
    let mut marks: Vec<u64> = group.route_lists.iter().flatten().map(mark).collect();
    marks.sort_unstable();
    marks.dedup();
    marks
}

/// How many of `all` are not among `others`; both sorted.
fn without(all: &[u64], others: &[u64]) -> usize {
    all.iter().filter(|mark| others.binary_search(mark).is_err()).count()
}
