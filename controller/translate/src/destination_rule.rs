//! Which DestinationRule applies to a host here, how several are merged, and what policy comes out
//! (docs/semantics.md §4.1–4.3).

mod balancer;
mod limits;
mod validate;

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use crds::{
    ClientTlsSettings, ConnectionPoolSettings, DestinationRule, LoadBalancerSettings, ObjectKind, PortTrafficPolicy,
    Subset, TrafficPolicy,
};

use crate::export::Exports;
use crate::hosts;
use crate::limits::name as limit;
use crate::report::{Problem, Report};
use crate::steps;
use crate::unit::Context;
use crate::world::{Typed, selects};

pub(crate) use limits::validate_connection_pool;
pub(crate) use validate::validate;

/// All rules for one host that apply together.
pub(crate) struct Effective<'a> {
    /// By name, each with the rule that it is from.
    subsets: HashMap<&'a str, (&'a Subset, Typed<'a, DestinationRule>)>,
    policy: Option<&'a TrafficPolicy>,
    /// What of younger rules was dropped.
    pub(crate) reports: Vec<Report>,
}

/// The blocks that make a cluster.
#[derive(Clone, Copy, Default)]
pub(crate) struct Policy<'a> {
    pub(crate) load_balancer: Option<&'a LoadBalancerSettings>,
    pub(crate) connection_pool: Option<&'a ConnectionPoolSettings>,
    pub(crate) tls: Option<&'a ClientTlsSettings>,
}

/// Finds the rule for a host of a service in that namespace: the first of the proxy's, the service's and the root
/// namespace that has one.
pub(crate) fn effective<'a>(
    context: &Context<'_, 'a>,
    host: &str,
    service_namespace: &str,
) -> Option<Rc<Effective<'a>>> {
    context.view.memo().rule(&context.view, (host, service_namespace), || find(context, host, service_namespace))
}

fn find<'a>(context: &Context<'_, 'a>, host: &str, service_namespace: &str) -> Option<Effective<'a>> {
    let proxy = context.proxy.namespace.as_str();
    let root = context.mesh.root_namespace.as_str();
    let default = &context.mesh.config.default_destination_rule_export_to;
    let exports = |rule: &Typed<'a, DestinationRule>| Exports::new(&rule.spec.export_to, default);
    // Rules of the root namespace that everybody sees come last, so that nobody's own are overruled by them.
    let private_only = proxy == root;
    let steps = [(proxy, private_only), (service_namespace, false), (root, false)];
    steps.into_iter().find_map(|(namespace, private_only)| {
        let suits = |rule: &Typed<'a, DestinationRule>| {
            steps::add(1 + rule.spec.export_to.len());
            let exports = exports(rule);
            let seen = if private_only { exports.is_private(namespace) } else { exports.visible(namespace, proxy) };
            let selected = match &rule.spec.workload_selector {
                Some(selector) => namespace == proxy && selects(&selector.match_labels, &context.proxy.labels),
                None => true,
            };
            seen && selected
        };
        let mut rules = context.view.rules_for(namespace, host);
        rules.retain(suits);
        if rules.is_empty() {
            let mut wild = context.view.wildcard_rules(namespace);
            wild.retain(|rule| hosts::subset_of(host, &rule.spec.host) && suits(rule));
            let best = wild
                .iter()
                .map(|rule| rule.spec.host.as_str())
                .reduce(|best, next| if hosts::more_specific(next, best) { next } else { best })?;
            wild.retain(|rule| rule.spec.host == best);
            rules = wild;
        }
        // One that selects workloads beats those that do not.
        rules.sort_by_key(|rule| rule.spec.workload_selector.is_none());
        merge(rules, default, context.view.limits().subsets_per_service)
    })
}

/// Rules for one host, best first.
fn merge<'a>(rules: Vec<Typed<'a, DestinationRule>>, default: &[String], most: usize) -> Option<Effective<'a>> {
    let (first, rest) = rules.split_first()?;
    let mut effective =
        Effective { subsets: HashMap::new(), policy: first.spec.traffic_policy.as_ref(), reports: Vec::new() };
    let mut policy_of = first;
    add_subsets(&mut effective, first, most);
    let set_of = |rule: &Typed<'a, DestinationRule>| -> BTreeSet<String> {
        steps::add(rule.spec.export_to.len());
        let exports = Exports::new(&rule.spec.export_to, default);
        exports.set(&rule.meta.namespace).into_iter().map(str::to_owned).collect()
    };
    let set_of_first = set_of(first);
    for rule in rest {
        if set_of(rule) != set_of_first || rule.spec.workload_selector != first.spec.workload_selector {
            continue;
        }
        add_subsets(&mut effective, rule, most);
        match (&rule.spec.traffic_policy, effective.policy) {
            (Some(policy), None) => (effective.policy, policy_of) = (Some(policy), rule),
            (Some(_), Some(_)) => effective.reports.push(Report {
                object: rule.key(ObjectKind::DestinationRule),
                field: "spec.trafficPolicy".to_owned(),
                problem: Problem::PolicyTaken { older: policy_of.key(ObjectKind::DestinationRule).to_string() },
            }),
            (None, _) => {}
        }
    }
    Some(effective)
}

fn add_subsets<'a>(effective: &mut Effective<'a>, rule: &Typed<'a, DestinationRule>, most: usize) {
    for (index, subset) in rule.spec.subsets.iter().enumerate() {
        steps::count();
        let field = || format!("spec.subsets[{index}].name");
        if let Some((_, older)) = effective.subsets.get(subset.name.as_str()) {
            // Twice in one rule is what `validate` reports.
            if !std::ptr::eq(older.spec, rule.spec) {
                effective.reports.push(Report {
                    object: rule.key(ObjectKind::DestinationRule),
                    field: field(),
                    problem: Problem::SubsetTaken {
                        subset: subset.name.clone(),
                        older: older.key(ObjectKind::DestinationRule).to_string(),
                    },
                });
            }
            continue;
        }
        if effective.subsets.len() >= most {
            let problem = Problem::beyond(limit::SUBSETS, most, "this subset and those behind it are left out");
            effective.reports.push(Report { object: rule.key(ObjectKind::DestinationRule), field: field(), problem });
            return;
        }
        effective.subsets.insert(&subset.name, (subset, *rule));
    }
}

impl<'a> Effective<'a> {
    pub(crate) fn subset(&self, name: &str) -> Option<&'a Subset> {
        steps::count();
        self.subsets.get(name).map(|(subset, _)| *subset)
    }

    /// The policy for a port, of a subset or of the whole host (docs/semantics.md §4.3).
    pub(crate) fn policy(&self, subset: Option<&'a Subset>, port: u16) -> Policy<'a> {
        let base = match (self.policy, self.policy.and_then(|policy| port_entry(policy, port))) {
            (_, Some(entry)) => of_port(entry),
            (Some(policy), None) => of_destination(policy),
            (None, None) => Policy::default(),
        };
        let Some(over) = subset.and_then(|subset| subset.traffic_policy.as_ref()) else { return base };
        match port_entry(over, port) {
            Some(entry) => of_port(entry),
            None => {
                let over = of_destination(over);
                Policy {
                    load_balancer: over.load_balancer.or(base.load_balancer),
                    connection_pool: over.connection_pool.or(base.connection_pool),
                    tls: over.tls.or(base.tls),
                }
            }
        }
    }
}

fn port_entry(policy: &TrafficPolicy, port: u16) -> Option<&PortTrafficPolicy> {
    policy
        .port_level_settings
        .iter()
        .find(|entry| entry.port.as_ref().is_some_and(|selector| selector.number == i64::from(port)))
}

fn of_port(entry: &PortTrafficPolicy) -> Policy<'_> {
    Policy {
        load_balancer: entry.load_balancer.as_ref(),
        connection_pool: entry.connection_pool.as_ref(),
        tls: entry.tls.as_ref(),
    }
}

fn of_destination(policy: &TrafficPolicy) -> Policy<'_> {
    Policy {
        load_balancer: policy.load_balancer.as_ref(),
        connection_pool: policy.connection_pool.as_ref(),
        tls: policy.tls.as_ref(),
    }
}
