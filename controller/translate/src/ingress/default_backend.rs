//! `defaultBackend`: where requests go that nothing else takes, be it another Ingress or a VirtualService
//! (docs/semantics.md §17).

use crds::object::ingress::IngressSpec;
use crds::{ObjectKey, ObjectKind};
use ir::{Precedence, RouteGroup, RouteMatch, ServerRank};

use super::{backend, class, place};
use crate::report::{Problem, Report};
use crate::scope::Scope;
use crate::unit::{Context, Needed};
use crate::world::Typed;

const FIELD: &str = "spec.defaultBackend";

/// The group of an Ingress's default backend: a catch-all for every host, and for those of its own rules.
pub(crate) fn translate(
    context: &Context<'_, '_>,
    key: &ObjectKey,
    needed: &mut Needed,
    reports: &mut Vec<Report>,
) -> Option<RouteGroup> {
    let ingress = context.view.ingress(&key.namespace, &key.name)?;
    class::ours(&context.view, &context.mesh.config, vec![ingress]).next()?;
    let mut hosts = vec!["*"];
    hosts.extend(place::rule_hosts(ingress.spec));
    // Behind every server that routes may have come from.
    let last = ServerRank { created: i64::MAX, name: String::new(), namespace: String::new(), index: u32::MAX };
    let bindings = place::bind(context, std::iter::once(ingress), &hosts, Some(&last), reports);
    if bindings.is_empty() {
        return None;
    }
    let Some(written) = &ingress.spec.default_backend else {
        report_missing(ingress.spec, key, reports);
        return None;
    };
    let mut at = Scope::new(key, FIELD, reports);
    if let Some(older) = older(context, ingress.age()) {
        at.report(Problem::DefaultBackendTaken { older });
    }
    let cluster = backend::cluster(context, written, &key.namespace, needed, &mut at)?;
    let name = format!("{}/{}", key.namespace, key.name);
    let (created, ..) = ingress.age();
    Some(RouteGroup {
        // Capital letters are in no namespace's name.
        name: format!("Ingress/default/{name}"),
        precedence: Precedence { tier: 2, created, name: key.name.clone(), namespace: key.namespace.clone() },
        bindings,
        route_lists: vec![vec![backend::route(context, &name, RouteMatch::default(), cluster)]],
    })
}

/// Reports rules that would need one.
fn report_missing(spec: &IngressSpec, key: &ObjectKey, reports: &mut Vec<Report>) {
    for (index, rule) in spec.rules.iter().flatten().enumerate() {
        if rule.http.as_ref().is_none_or(|http| http.paths.is_empty()) {
            Scope::new(key, format!("spec.rules[{index}]"), reports)
                .no_effect("a rule without paths leaves its host to the default backend, and there is none");
        }
    }
}

/// The oldest Ingress with a default backend, if it is older.
fn older(context: &Context<'_, '_>, age: (i64, &str, &str)) -> Option<String> {
    let all = context.view.default_backends();
    let oldest = class::ours(&context.view, &context.mesh.config, all).next()?;
    (Typed::age(&oldest) < age).then(|| oldest.key(ObjectKind::Ingress).to_string())
}
