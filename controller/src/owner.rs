//! Who owns what the controller makes for itself while it runs: the ClusterRole of its installation, which lives exactly
//! as long as that. What belongs to it goes with it, so that an uninstallation leaves nothing behind. Says nothing about
//! what is made; whoever makes it asks here.
//!
//! References are only ever added: several installations may share an object, which then goes with the last of them, and
//! those to owners that are gone are taken out by the cluster's garbage collector.

use std::fmt::Debug;

use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, PostParams};
use kube::{Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::warn;

/// A ClusterRole, as it is now: one that is made anew under its name is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    name: String,
    uid: String,
}

impl Owner {
    #[must_use]
    pub fn new(name: impl Into<String>, uid: impl Into<String>) -> Self {
        Self { name: name.into(), uid: uid.into() }
    }

    /// The ClusterRole of this name. Where it cannot be found nothing has an owner: that is untidy, and no reason to serve
    /// nobody.
    pub async fn find(client: &Client, name: &str) -> Option<Self> {
        let roles: Api<ClusterRole> = Api::all(client.clone());
        match roles.get_metadata_opt(name).await {
            Ok(Some(role)) => role.metadata.uid.map(|uid| Self::new(name, uid)),
            Ok(None) => {
                warn!(cluster_role = name, "there is no such ClusterRole; what the controller makes will outlive it");
                None
            }
            Err(error) => {
                warn!(%error, cluster_role = name, "cannot be read; what the controller makes will outlive it");
                None
            }
        }
    }

    pub(crate) fn uid(&self) -> &str {
        &self.uid
    }

    /// Never with `blockOwnerDeletion`: an uninstallation must not wait for anything of this.
    pub(crate) fn reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: ClusterRole::api_version(&()).into_owned(),
            kind: ClusterRole::kind(&()).into_owned(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: Some(false),
            block_owner_deletion: Some(false),
        }
    }

    pub(crate) fn owns(&self, metadata: &ObjectMeta) -> bool {
        metadata.owner_references.iter().flatten().any(|one| one.uid == self.uid)
    }

    /// Makes an object that is there its own, and returns it as it is then. Fails if it is not as it was found.
    pub(crate) async fn adopt<K>(&self, api: &Api<K>, mut object: K) -> kube::Result<K>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Serialize,
    {
        if self.owns(object.meta()) {
            return Ok(object);
        }
        object.owner_references_mut().push(self.reference());
        api.replace(&object.name_any(), &PostParams::default(), &object).await
    }
}

/// Whether this writer, or one that adds to its name after a slash, has written any field of an object.
pub(crate) fn has_written(writer: &str, metadata: &ObjectMeta) -> bool {
    let managers = metadata.managed_fields.iter().flatten().filter_map(|entry| entry.manager.as_deref());
    managers.map(|manager| manager.strip_prefix(writer)).any(|rest| {
        // `sluice-ca` and `sluice-ca/…`, not `sluice-cart`.
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;

    use super::*;

    #[test]
    fn a_role_that_was_made_anew_is_another_owner() {
        let (before, now) = (Owner::new("sluice", "u-1"), Owner::new("sluice", "u-2"));
        let metadata = ObjectMeta { owner_references: Some(vec![before.reference()]), ..ObjectMeta::default() };
        assert!(before.owns(&metadata) && !now.owns(&metadata) && !now.owns(&ObjectMeta::default()));
        let reference = serde_json::to_value(now.reference()).unwrap();
        let expected = serde_json::json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "sluice", "uid": "u-2",
            "controller": false, "blockOwnerDeletion": false,
        });
        assert_eq!(reference, expected);
    }

    #[test]
    fn what_others_made_is_theirs() {
        let made_by = |manager: &str| {
            let entry = ManagedFieldsEntry { manager: Some(manager.to_owned()), ..ManagedFieldsEntry::default() };
            ObjectMeta { managed_fields: Some(vec![entry]), ..ObjectMeta::default() }
        };
        assert!(has_written("sluice-ca", &made_by("sluice-ca")) && has_written("sluice-ca", &made_by("sluice-ca/u-1")));
        for other in ["pilot-discovery", "kubectl-client-side-apply", "sluice-cart"] {
            assert!(!has_written("sluice-ca", &made_by(other)), "{other}");
        }
        assert!(!has_written("sluice-ca", &ObjectMeta::default()));
    }
}
