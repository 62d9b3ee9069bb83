//! What there is to say about an object: what is wrong with it, and how far it has got.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crds::ObjectKey;
use translate::Report;

use super::state::State;
use crate::source::kube::Revision;

/// Everything a status is made of.
#[derive(Clone, Debug)]
pub struct ObjectStatus {
    pub key: ObjectKey,
    pub revision: Arc<Revision>,
    /// Why the latest version cannot be read as its kind.
    pub unreadable: Vec<String>,
    /// What is wrong with it by itself.
    pub own: Vec<Report>,
    /// What is wrong with it among the others, for all proxies together, each once.
    pub among: Vec<Report>,
    /// An older version is in force, or none.
    pub held: bool,
    /// Translating it failed, by a mistake of ours.
    pub failed: bool,
    /// The proxies it concerns.
    pub proxies: Proxies,
    /// From the watch event to the proxies' answers, for this version; `None` until there is one.
    pub latency: Option<Latency>,
    /// What the latency was made of.
    pub waits: Vec<Duration>,
}

/// How far the proxies that an object concerns are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    pub total: usize,
    /// Those that have the latest version in force.
    pub current: usize,
    /// Those that could not use something the object has a part in, as `namespace/pod`, with the reason.
    pub rejected: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    pub p50: Duration,
    pub p99: Duration,
}

/// Objects whose status may differ from what it was when they were last asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Conditions may differ.
    pub urgent: BTreeSet<ObjectKey>,
    /// Only numbers may.
    pub lazy: BTreeSet<ObjectKey>,
}

pub(super) fn of(state: &State, key: &ObjectKey) -> Option<ObjectStatus> {
    let known = state.objects.get(key)?;
    let mut proxies = Proxies::default();
    let mut waits = Vec::new();
    let mut among: BTreeMap<(String, String), Report> = BTreeMap::new();
    for serving in state.scopes.values().filter(|serving| serving.concerns_anybody()) {
        for report in serving.translator.reports_about(key) {
            let what = (report.field.clone(), report.problem.to_string());
            among.entry(what).or_insert_with(|| report.clone());
        }
        let parts = serving.translator.resources_of(&state.world, key);
        if parts.is_empty() {
            continue;
        }
        let mark = serving.mark(key);
        // Without a mark it was there from the start, or became of concern by another object's change.
        let at = mark.map_or(1, |mark| mark.at).max(1);
        let pending = serving.is_pending(key);
        for member in serving.members.values().filter(|member| member.acked() > 0) {
            proxies.total += 1;
            let refused = member.refused();
            let mut reasons = parts.iter().filter_map(|part| Some((part, refused.get(part)?)));
            if let Some((part, why)) = reasons.next() {
                proxies.rejected.push((member.info.name(), format!("{part}: {}", why.reason)));
            } else if !pending && member.acked() >= at {
                proxies.current += 1;
            }
        }
        waits.extend(mark.and_then(|mark| mark.waits.as_ref()).map(|waits| waits.all()).into_iter().flatten());
    }
    Some(ObjectStatus {
        key: key.clone(),
        revision: Arc::clone(&known.revision),
        unreadable: known.unreadable.clone(),
        own: known.own.clone(),
        among: among.into_values().collect(),
        held: known.held,
        failed: state.has_failed(key),
        proxies,
        latency: Latency::of(waits.clone()),
        waits,
    })
}

impl Latency {
    /// `None` where there is nothing.
    #[must_use]
    pub fn of(mut waits: Vec<Duration>) -> Option<Self> {
        waits.sort_unstable();
        let at = |percent: usize| waits.get((waits.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { p50: at(50)?, p99: at(99)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_there_is() {
        let millis = |all: &[u64]| Latency::of(all.iter().map(|one| Duration::from_millis(*one)).collect());
        assert_eq!(millis(&[]), None);
        let of = |p50, p99| Some(Latency { p50: Duration::from_millis(p50), p99: Duration::from_millis(p99) });
        assert_eq!(millis(&[7]), of(7, 7));
        assert_eq!(millis(&[3, 1, 2]), of(2, 3));
        assert_eq!(millis(&(1..=200).collect::<Vec<_>>()), of(100, 198));
    }
}
