//! An ordered list of rules in which the first match wins.

use std::sync::Arc;

use crate::index::Index;
use crate::matcher::Matcher;
use crate::view::RequestView;

/// Rules in order of precedence, each with what it leads to. Immutable; build another one to change it.
#[derive(Debug)]
pub struct Router<P> {
    rules: Box<[(Arc<Matcher>, P)]>,
    index: Index,
}

impl<P> Router<P> {
    /// # Panics
    ///
    /// With more than `u32::MAX - 1` rules.
    pub fn new(rules: impl IntoIterator<Item = (Arc<Matcher>, P)>) -> Self {
        let rules: Box<[_]> = rules.into_iter().collect();
        let index = Index::build(&rules.iter().map(|(matcher, _)| &**matcher).collect::<Vec<_>>());
        Self { rules, index }
    }

    /// What the first matching rule leads to.
    pub fn find(&self, request: &impl RequestView) -> Option<&P> {
        self.find_index(request).map(|at| &self.rules[at].1)
    }

    /// The position of the first matching rule.
    pub fn find_index(&self, request: &impl RequestView) -> Option<usize> {
        self.index.first(request, &|id| self.rules[id as usize].0.matches(request))
    }

    /// All rules in order, for explanations.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = (&Matcher, &P)> {
        self.rules.iter().map(|(matcher, payload)| (&**matcher, payload))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}
