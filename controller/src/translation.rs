//! The world and its translation, one step at a time. A translation that panics, which would be a mistake of ours, costs
//! the change it panicked on and not the control plane.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crds::ObjectKey;
use tracing::error;
use translate::{Change, Changes, ProxyScope, Report, TranslationLimits, Translator, Update, World};

/// Objects and what they mean for one proxy.
#[derive(Debug)]
pub(crate) struct Translation {
    proxy: ProxyScope,
    world: World,
    translator: Translator,
    started: bool,
}

/// What a step brought: one update, or several in their order.
#[derive(Debug, Default)]
pub(crate) struct Advance {
    pub(crate) updates: Vec<Update>,
    /// Objects whose change could not be translated; the version before stays.
    pub(crate) failed: Vec<ObjectKey>,
}

impl Translation {
    pub(crate) fn new(proxy: ProxyScope, limits: TranslationLimits) -> Self {
        let translator = Translator::new(proxy.clone());
        Self { proxy, world: World::bounded(limits), translator, started: false }
    }

    pub(crate) fn advance(&mut self, changes: Vec<Change>) -> Advance {
        self.advance_by(changes, Translator::update)
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// Where the proxy listens for connections to a port as its clients call it.
    pub(crate) fn listening_port(&self, port: u16) -> u16 {
        self.translator.listening_port(&self.world, port)
    }

    pub(crate) fn reports(&self) -> impl Iterator<Item = Report> {
        self.translator.reports()
    }

    fn advance_by(
        &mut self,
        changes: Vec<Change>,
        run: impl Fn(&mut Translator, &World, &Changes) -> Update,
    ) -> Advance {
        let mut advance = Advance::default();
        let singly: Vec<Change> = changes.clone();
        if self.try_step(changes, &run, &mut advance) {
            return advance;
        }
        // One of them is the culprit; the others must not suffer.
        for change in singly {
            let key = match &change {
                Change::Upsert(object) => object.key(),
                Change::Remove(key) => key.clone(),
            };
            if !self.try_step(vec![change], &run, &mut advance) {
                error!(object = %key, "translating the change failed; the version before stays in force");
                advance.failed.push(key);
            }
        }
        advance
    }

    /// Takes one step, or none and starts the translator anew.
    fn try_step(
        &mut self,
        changes: Vec<Change>,
        run: &impl Fn(&mut Translator, &World, &Changes) -> Update,
        advance: &mut Advance,
    ) -> bool {
        let (world, changes) = self.world.apply(changes);
        if self.started && changes.is_empty() {
            self.world = world;
            return true;
        }
        let translator = &mut self.translator;
        if let Ok(update) = catch_unwind(AssertUnwindSafe(|| run(translator, &world, &changes))) {
            self.world = world;
            self.started = true;
            advance.updates.push(update);
            return true;
        }
        self.translator = Translator::new(self.proxy.clone());
        let (translator, world) = (&mut self.translator, &self.world);
        match catch_unwind(AssertUnwindSafe(|| run(translator, world, &Changes::default()))) {
            Ok(update) => {
                self.started = true;
                advance.updates.push(update);
            }
            Err(_) => error!("translating the state before the change failed, too; the proxy stays as it is"),
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crds::{Body, Meta, Object, ObjectKind, ServiceEntry};

    use super::*;

    fn entry(name: &str) -> Change {
        let meta = Meta { name: name.to_owned(), namespace: "shop".to_owned(), ..Meta::default() };
        let spec = ServiceEntry { hosts: vec![format!("{name}.test")], ..ServiceEntry::default() };
        Change::Upsert(Arc::new(Object { meta, body: Body::ServiceEntry(Box::new(spec)) }))
    }

    #[test]
    fn a_panic_costs_the_change_it_is_about() {
        let key = |name: &str| ObjectKey::new(ObjectKind::ServiceEntry, "shop", name);
        let run = |translator: &mut Translator, world: &World, changes: &Changes| {
            assert!(world.get(&key("bad")).is_none(), "injected");
            translator.update(world, changes)
        };
        let mut translation = Translation::new(ProxyScope::default(), TranslationLimits::default());
        let advance = translation.advance_by(vec![entry("a"), entry("bad"), entry("b")], run);
        assert_eq!(advance.failed, [key("bad")]);
        for (name, there) in [("a", true), ("b", true), ("bad", false)] {
            assert_eq!(translation.world().get(&key(name)).is_some(), there, "{name}");
        }
        let advance = translation.advance_by(vec![entry("c")], run);
        assert!(advance.failed.is_empty() && translation.world().get(&key("c")).is_some());
    }
}
