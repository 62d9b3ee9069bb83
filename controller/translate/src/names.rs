//! How many names a proxy resolves: each is a task that asks again and again. Objects of one namespace have so many, and all
//! together; older ones have theirs first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crds::ObjectKey;
use ir::ClusterName;

use crate::TranslationLimits;
use crate::limits::name as limit;
use crate::report::Problem;

/// Names that the endpoints of a cluster have, and whose they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) created: i64,
    pub(crate) owner: ObjectKey,
    pub(crate) count: usize,
}

/// What clusters ask for, and which of them do not get it.
#[derive(Debug, Default)]
pub(crate) struct Names {
    demands: HashMap<ClusterName, Demand>,
    by_age: BTreeSet<(i64, ObjectKey, ClusterName)>,
    refused: BTreeMap<ClusterName, Problem>,
    changed: bool,
}

impl Names {
    /// Notes what a cluster asks for.
    pub(crate) fn set(&mut self, cluster: &ClusterName, demand: Option<Demand>) {
        let before = self.demands.get(cluster);
        if before == demand.as_ref() {
            return;
        }
        self.changed = true;
        if let Some(before) = self.demands.remove(cluster) {
            self.by_age.remove(&(before.created, before.owner, cluster.clone()));
        }
        if let Some(demand) = demand {
            self.by_age.insert((demand.created, demand.owner.clone(), cluster.clone()));
            self.demands.insert(cluster.clone(), demand);
        }
    }

    /// Why the names of a cluster are not resolved.
    pub(crate) fn refusal(&self, cluster: &ClusterName) -> Option<&Problem> {
        self.refused.get(cluster)
    }

    /// Decides again, if anything changed, and tells for which clusters the answer did.
    pub(crate) fn grant(&mut self, limits: &TranslationLimits) -> Vec<ClusterName> {
        if !std::mem::take(&mut self.changed) {
            return Vec::new();
        }
        let mut refused = BTreeMap::new();
        let mut all = 0_usize;
        let mut of_namespace: HashMap<&str, usize> = HashMap::new();
        for (_, owner, cluster) in &self.by_age {
            let count = self.demands.get(cluster).map_or(0, |demand| demand.count);
            let own = of_namespace.entry(&owner.namespace).or_default();
            let effect = "the names of this object's endpoints are not resolved; older ones are";
            if all.saturating_add(count) > limits.dns_names_per_proxy {
                refused.insert(cluster.clone(), Problem::beyond(limit::DNS_NAMES, limits.dns_names_per_proxy, effect));
            } else if own.saturating_add(count) > limits.dns_names_per_namespace {
                let most = limits.dns_names_per_namespace;
                refused.insert(cluster.clone(), Problem::beyond(limit::DNS_NAMES_OF_NAMESPACE, most, effect));
            } else {
                all += count;
                *own += count;
            }
        }
        let clusters: BTreeSet<&ClusterName> = self.refused.keys().chain(refused.keys()).collect();
        let changed = clusters.into_iter().filter(|cluster| self.refused.get(*cluster) != refused.get(*cluster));
        let changed = changed.cloned().collect();
        self.refused = refused;
        changed
    }
}
