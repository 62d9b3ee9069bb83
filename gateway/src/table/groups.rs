//! Route groups, compiled one by one and kept for as long as they do not change.

use std::sync::Arc;

use router::{Matcher, RegexCache};

use crate::table::ClusterId;
use crate::table::route::{Route, RouteError};

/// A compiled [`ir::RouteGroup`].
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) precedence: Arc<ir::Precedence>,
    pub(crate) bindings: Vec<ir::Binding>,
    pub(crate) route_lists: Vec<Arc<[Rule]>>,
    /// Every cluster named, once per mention.
    pub(crate) clusters: Vec<ir::ClusterName>,
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) matcher: Arc<Matcher>,
    pub(crate) route: Arc<Route>,
    pub(crate) catch_all: bool,
}

impl Group {
    /// `cluster` gives the index of a cluster and counts the mention.
    pub(crate) fn compile(
        group: &ir::RouteGroup,
        cache: &mut RegexCache,
        mut cluster: impl FnMut(&ir::ClusterName) -> ClusterId,
    ) -> Result<Self, RouteError> {
        let ir::RouteGroup { name, precedence, bindings, route_lists } = group;
        if let Some(binding) = bindings.iter().find(|binding| binding.routes >= route_lists.len()) {
            return Err(RouteError::NoSuchList { index: binding.routes, count: route_lists.len() });
        }
        let name: Arc<str> = name.as_str().into();
        let mut lists = Vec::with_capacity(route_lists.len());
        for list in route_lists {
            let mut rules = Vec::with_capacity(list.len());
            for route in list {
                let matcher = Matcher::compile_with(&route.matches, cache)
                    .map_err(|source| RouteError::Match { route: route.name.clone(), source })?;
                let compiled = Route::compile(route, &name, cache, &mut cluster)?;
                rules.push(Rule { matcher: Arc::new(matcher), route: Arc::new(compiled), catch_all: route.catch_all });
            }
            lists.push(rules.into());
        }
        Ok(Self {
            precedence: Arc::new(precedence.clone()),
            bindings: bindings.clone(),
            route_lists: lists,
            clusters: mentions(group),
        })
    }
}

/// Every cluster the group names, once per mention.
pub(crate) fn mentions(group: &ir::RouteGroup) -> Vec<ir::ClusterName> {
    let routes = group.route_lists.iter().flatten();
    let forwards = routes.filter_map(|route| match &route.action {
        ir::RouteAction::Forward(forward) => Some(forward),
        ir::RouteAction::Redirect(_) | ir::RouteAction::DirectResponse(_) => None,
    });
    forwards.flat_map(|forward| &forward.destinations).map(|destination| destination.cluster.clone()).collect()
}
