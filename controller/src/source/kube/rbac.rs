//! What the source must be allowed to do, for roles and for a test that compares them.

use crds::ObjectKind;

use super::kinds::{Plan, plan, plural};

/// Where a permission is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// In the whole cluster.
    Cluster,
    /// In the control namespace, for the ConfigMap of the mesh configuration.
    MeshConfig,
    /// For single objects by name (`resourceNames`), or in the namespaces of gateways. Never in the whole cluster.
    Named,
}

/// Something the source does at the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// Empty for Kubernetes' core.
    pub group: &'static str,
    pub resource: &'static str,
    pub verbs: &'static [&'static str],
    pub reach: Reach,
}

/// Everything is listed first and then watched, single objects as well.
pub const VERBS: &[&str] = &["list", "watch"];

/// The definitions of kinds, of which names only are read: so that a kind that is installed is noticed at once.
pub(super) const DEFINITIONS: (&str, &str) = ("apiextensions.k8s.io", "customresourcedefinitions");

/// All that the source does.
#[must_use]
pub fn permissions() -> Vec<Permission> {
    let of_kind = |kind: ObjectKind| {
        let reach = match plan(kind) {
            Plan::Defined | Plan::Whole | Plan::Slim | Plan::Pods | Plan::Labels => Reach::Cluster,
            Plan::MeshConfig => Reach::MeshConfig,
            Plan::ByName => Reach::Named,
        };
        Permission { group: kind.group(), resource: plural(kind), verbs: VERBS, reach }
    };
    let (group, resource) = DEFINITIONS;
    let definitions = Permission { group, resource, verbs: VERBS, reach: Reach::Cluster };
    ObjectKind::ALL.into_iter().map(of_kind).chain([definitions]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_config_maps_are_not_read_everywhere() {
        let everywhere: Vec<_> =
            permissions().into_iter().filter(|permission| permission.reach == Reach::Cluster).collect();
        assert!(everywhere.iter().all(|permission| !["secrets", "configmaps"].contains(&permission.resource)));
        assert_eq!(everywhere.len() + 2, permissions().len());
        assert!(permissions().iter().all(|permission| permission.verbs == ["list", "watch"]));
    }
}
