//! What several translations of one update need and would each work out again. An entry keeps the questions that led to
//! it: whatever uses the entry is recorded as having asked them.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crds::ObjectKey;

use crate::destination_rule::Effective;
use crate::service::Service;
use crate::world::{Lookup, View};

/// Answers of one update; the world does not change meanwhile.
#[derive(Default)]
pub(crate) struct Memo<'w> {
    services: RefCell<HashMap<String, Known<Option<Rc<Service<'w>>>>>>,
    /// By host and namespace.
    rules: RefCell<HashMap<(String, String), KnownRule<'w>>>,
    ingress_rules: RefCell<HashMap<ObjectKey, Rc<RulesByHost<'w>>>>,
}

/// Positions of an Ingress's rules, by host.
pub(crate) type RulesByHost<'w> = HashMap<&'w str, Vec<usize>>;

type KnownRule<'w> = Known<Option<Rc<Effective<'w>>>>;

struct Known<T> {
    value: T,
    asked: Rc<HashSet<Lookup>>,
}

impl<'w> Memo<'w> {
    pub(crate) fn service(
        &self,
        view: &View<'_, 'w>,
        host: &str,
        find: impl FnOnce() -> Option<Service<'w>>,
    ) -> Option<Rc<Service<'w>>> {
        let known = self.services.borrow().get(host).map(|known| (known.value.clone(), Rc::clone(&known.asked)));
        if let Some((value, asked)) = known {
            view.ask_again(&asked);
            return value;
        }
        let (value, asked) = view.recorded(find);
        let value = value.map(Rc::new);
        let asked = Rc::new(asked);
        self.services.borrow_mut().insert(host.to_owned(), Known { value: value.clone(), asked });
        value
    }

    pub(crate) fn rule(
        &self,
        view: &View<'_, 'w>,
        (host, namespace): (&str, &str),
        find: impl FnOnce() -> Option<Effective<'w>>,
    ) -> Option<Rc<Effective<'w>>> {
        let key = (host.to_owned(), namespace.to_owned());
        let known = self.rules.borrow().get(&key).map(|known| (known.value.clone(), Rc::clone(&known.asked)));
        if let Some((value, asked)) = known {
            view.ask_again(&asked);
            return value;
        }
        let (value, asked) = view.recorded(find);
        let value = value.map(Rc::new);
        self.rules.borrow_mut().insert(key, Known { value: value.clone(), asked: Rc::new(asked) });
        value
    }

    /// What an Ingress, which was asked for already, says for each host.
    pub(crate) fn ingress_rules(
        &self,
        key: &ObjectKey,
        index: impl FnOnce() -> RulesByHost<'w>,
    ) -> Rc<RulesByHost<'w>> {
        if let Some(known) = self.ingress_rules.borrow().get(key) {
            return Rc::clone(known);
        }
        let made = Rc::new(index());
        self.ingress_rules.borrow_mut().insert(key.clone(), Rc::clone(&made));
        made
    }
}
