//! A control plane without files: objects in, resources out.

use std::sync::Arc;

use crds::yaml::{self, Outcome};
use ir::Delta;
use translate::{Change, Changes, ProxyScope, Translator, Update, World};

/// Objects and what one proxy is told about them.
#[derive(Debug)]
pub struct Control {
    world: World,
    translator: Translator,
}

impl Default for Control {
    fn default() -> Self {
        Self { world: World::default(), translator: Translator::new(ProxyScope::default()) }
    }
}

impl Control {
    /// Takes changes in, all at once.
    pub fn apply(&mut self, changes: Vec<Change>) -> Update {
        let (world, changes) = self.world.apply(changes);
        self.world = world;
        self.translator.update(&self.world, &changes)
    }
}

/// A control plane that begins with these objects.
#[must_use]
pub fn start(changes: Vec<Change>) -> (Control, Update) {
    let mut control = Control::default();
    let (world, _) = control.world.apply(changes);
    control.world = world;
    // The first update takes everything there is and needs no changes.
    let update = control.translator.update(&control.world, &Changes::default());
    (control, update)
}

/// The objects of a text.
///
/// # Panics
/// When it holds anything else: a bench would measure something else than it says.
#[must_use]
pub fn objects(text: &str) -> Vec<Change> {
    let object = |document: yaml::Document| match document.outcome {
        Outcome::Object(object) => Change::Upsert(Arc::new(object)),
        other @ (Outcome::Skipped { .. } | Outcome::Failed(_) | Outcome::Empty) => panic!("{other:?} in\n{text}"),
    };
    yaml::read(text).into_iter().map(object).collect()
}

/// An update on its way to the proxy.
#[must_use]
pub fn delta(update: &Update) -> Delta {
    Delta { changed: update.changed.iter().map(ir::codec::encode).collect(), removed: update.removed.clone() }
}
