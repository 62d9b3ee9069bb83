//! How many sockets Gateways may open: so many for a proxy, and so many of them for the Gateways of one namespace. Older
//! Gateways have theirs first.

use std::collections::{HashMap, HashSet};

use super::Candidate;
use super::merge::SocketName;
use crate::limits::name as limit;
use crate::report::{Problem, Report};
use crate::unit::Context;

/// The servers whose sockets are granted. They come in the order of age.
pub(super) fn grant<'a>(
    context: &Context<'_, '_>,
    candidates: Vec<Candidate<'a>>,
    reports: &mut Vec<Report>,
) -> Vec<Candidate<'a>> {
    let limits = context.view.limits();
    let mut open = HashSet::new();
    let mut of_namespace: HashMap<String, usize> = HashMap::new();
    let mut granted = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let name = SocketName::of(&candidate);
        if !open.contains(&name) {
            let own = of_namespace.entry(candidate.owner().to_owned()).or_default();
            // Whoever may write beside the proxy is its administrator.
            let is_bounded = candidate.owner() != context.proxy.namespace;
            let refusal = if open.len() >= limits.listeners_per_proxy {
                Some((limit::LISTENERS, limits.listeners_per_proxy))
            } else if is_bounded && *own >= limits.listeners_per_namespace {
                Some((limit::LISTENERS_OF_NAMESPACE, limits.listeners_per_namespace))
            } else {
                None
            };
            if let Some((limit, most)) = refusal {
                let effect = "the port of this server is not opened; older Gateways keep theirs";
                let (object, field) = (candidate.object(), candidate.path());
                reports.push(Report { object, field, problem: Problem::beyond(limit, most, effect) });
                continue;
            }
            *own += 1;
            open.insert(name);
        }
        granted.push(candidate);
    }
    granted
}
