//! One host: the paths that all Ingresses together give it, in one order (docs/semantics.md §17).

use std::collections::BTreeMap;

use crds::ObjectKind;
use crds::object::ingress::{IngressBackend, IngressSpec};
use ir::{ClusterName, Route, RouteGroup};

use super::path::{IngressPath, Paths};
use super::{backend, class, place};
use crate::holders::Holder;
use crate::memo::RulesByHost;
use crate::report::{Problem, Report};
use crate::scope::Scope;
use crate::steps;
use crate::unit::{Context, Needed};
use crate::world::Typed;

/// A path and where it was written.
struct Entry<'a> {
    ingress: Typed<'a, IngressSpec>,
    rule: usize,
    index: usize,
    path: IngressPath<'a>,
    backend: &'a IngressBackend,
}

impl Entry<'_> {
    fn field(&self) -> String {
        format!("spec.rules[{}].http.paths[{}]", self.rule, self.index)
    }

    fn place(&self) -> String {
        format!("{} {}", self.ingress.key(ObjectKind::Ingress), self.field())
    }
}

/// The group of a host; nothing where no Ingress serves it here.
pub(crate) fn translate(
    context: &Context<'_, '_>,
    host: &str,
    needed: &mut Needed,
    reports: &mut Vec<Report>,
) -> Option<RouteGroup> {
    let named = context.view.ingresses_for(host);
    let mut ours: Vec<_> = class::ours(&context.view, &context.mesh.config, named).collect();
    // Those that do not get the host give it no paths either.
    ours.retain(|ingress| {
        let refused = context.view.claims().refuse(host, &ingress.meta.namespace, ingress.meta.created);
        let is_served = refused.is_none();
        if let Some(problem) = refused
            && place::is_selected(&context.mesh.config, context.proxy)
        {
            let (object, field) = (ingress.key(ObjectKind::Ingress), "spec.rules".to_owned());
            reports.push(Report { object, field, problem });
        }
        is_served
    });
    let oldest = ours.first().copied()?;
    let bindings = place::bind(context, ours.iter().copied(), &[host], None, reports);
    if bindings.is_empty() {
        return None;
    }
    let mut entries: Vec<Entry<'_>> = ours.iter().flat_map(|ingress| entries(context, *ingress, host)).collect();
    // Stable: of equal ones the older Ingress's decides.
    entries.sort_by_key(|entry| entry.path.order());
    let routes = routes(context, &entries, needed, reports);
    if routes.is_empty() {
        return None;
    }
    Some(RouteGroup {
        // Capital letters are in no namespace's name.
        name: format!("Ingress/host/{host}"),
        precedence: place::precedence(host, context.mesh.strict, oldest.meta),
        bindings,
        route_lists: vec![routes],
    })
}

/// The youngest of the Ingresses that give a host paths.
pub(crate) fn youngest(context: &Context<'_, '_>, host: &str) -> Option<Holder> {
    let named = context.view.ingresses_for(host);
    let last = class::ours(&context.view, &context.mesh.config, named).last()?;
    Some(Holder { object: last.key(ObjectKind::Ingress), created: last.age().0 })
}

fn entries<'a>(context: &Context<'_, 'a>, ingress: Typed<'a, IngressSpec>, host: &str) -> Vec<Entry<'a>> {
    let mut entries = Vec::new();
    let by_host = context.view.memo().ingress_rules(&ingress.key(ObjectKind::Ingress), || {
        let mut by_host = RulesByHost::new();
        for (rule, host) in place::rule_hosts(ingress.spec).enumerate() {
            steps::count();
            by_host.entry(host).or_default().push(rule);
        }
        by_host
    });
    let rules = ingress.spec.rules.as_deref().unwrap_or_default();
    for rule in by_host.get(host).into_iter().flatten().copied() {
        let Some(written) = rules.get(rule) else { continue };
        for (index, path) in written.http.iter().flat_map(|http| &http.paths).enumerate() {
            steps::count();
            entries.push(Entry { ingress, rule, index, path: IngressPath::new(path), backend: &path.backend });
        }
    }
    entries
}

fn routes(
    context: &Context<'_, '_>,
    entries: &[Entry<'_>],
    needed: &mut Needed,
    reports: &mut Vec<Report>,
) -> Vec<Route> {
    let mut routes = Vec::new();
    let mut seen: BTreeMap<Paths<'_>, String> = BTreeMap::new();
    for entry in entries {
        let paths = entry.path.paths;
        let earlier = seen.get(&paths).or_else(|| seen.get(&Paths::All));
        let Some(cluster) = judge(context, entry, earlier, needed, reports) else { continue };
        let Typed { meta, .. } = entry.ingress;
        let name = format!("{}/{}", meta.namespace, meta.name);
        let conditions = paths.matches().into_iter();
        routes.extend(conditions.map(|matches| backend::route(context, &name, matches, cluster.clone())));
        seen.insert(paths, entry.place());
    }
    routes
}

/// The cluster of a path that decides anything.
fn judge(
    context: &Context<'_, '_>,
    entry: &Entry<'_>,
    earlier: Option<&String>,
    needed: &mut Needed,
    reports: &mut Vec<Report>,
) -> Option<ClusterName> {
    let key = entry.ingress.key(ObjectKind::Ingress);
    let mut at = Scope::new(&key, entry.field(), reports);
    if let Some(earlier) = earlier {
        at.report(Problem::IneffectiveMatch { earlier: earlier.clone() });
        return None;
    }
    if entry.path.paths.looks_like_regex() {
        at.field("path").no_effect("paths are no regular expressions; this one is compared letter by letter");
    }
    backend::cluster(context, entry.backend, &entry.ingress.meta.namespace, needed, &mut at.field("backend"))
}
