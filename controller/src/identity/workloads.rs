//! Which workloads there are: the pods that run as each service account, and the service accounts themselves. A proof of
//! identity outlives neither by more than a moment. It is told of both and asks nothing.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::SpiffeId;

/// What is known of workloads. Before the cluster has been read, everything counts as there.
#[derive(Debug, Default)]
pub struct Workloads {
    inner: RwLock<Inner>,
}

/// A namespace and a name in it.
type Name = (String, String);

#[derive(Debug, Default)]
struct Inner {
    synced: bool,
    pods: HashMap<Name, Pod>,
    /// How many pods run as an account.
    running: HashMap<Name, usize>,
    /// `None` until they have been listed, or when they may not be.
    accounts: Option<HashSet<Name>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pod {
    account: String,
    uid: String,
}

impl Workloads {
    /// A pod that has not ended.
    pub fn pod(&self, namespace: &str, name: &str, uid: &str, account: &str) {
        let mut inner = self.write();
        let pod = Pod { account: account.to_owned(), uid: uid.to_owned() };
        let key = (namespace.to_owned(), name.to_owned());
        if inner.pods.get(&key) == Some(&pod) {
            return;
        }
        inner.remove(&key);
        *inner.running.entry((namespace.to_owned(), pod.account.clone())).or_default() += 1;
        inner.pods.insert(key, pod);
    }

    /// A pod is gone.
    pub fn pod_gone(&self, namespace: &str, name: &str) {
        self.write().remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// All pods have been told.
    pub fn synced(&self) {
        self.write().synced = true;
    }

    /// All service accounts.
    pub fn accounts(&self, all: HashSet<(String, String)>) {
        self.write().accounts = Some(all);
    }

    /// One more service account, or one less.
    pub fn account(&self, namespace: &str, name: &str, exists: bool) {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(accounts) = &mut self.write().accounts {
            if exists {
                accounts.insert(key);
            } else {
                accounts.remove(&key);
            }
        }
    }

    /// Whether the service account of this identity exists.
    #[must_use]
    pub fn has_account(&self, identity: &SpiffeId) -> bool {
        let inner = self.read();
        let key = (identity.namespace().to_owned(), identity.service_account().to_owned());
        inner.accounts.as_ref().is_none_or(|accounts| accounts.contains(&key))
    }

    /// Whether a pod runs as the service account of this identity.
    #[must_use]
    pub fn has_pod(&self, identity: &SpiffeId) -> bool {
        let inner = self.read();
        let key = (identity.namespace().to_owned(), identity.service_account().to_owned());
        !inner.synced || inner.running.contains_key(&key)
    }

    /// The identifier of a pod that runs as the service account of this identity.
    #[must_use]
    pub fn pod_of(&self, identity: &SpiffeId, name: &str) -> Option<String> {
        let inner = self.read();
        let pod = inner.pods.get(&(identity.namespace().to_owned(), name.to_owned()))?;
        (pod.account == identity.service_account()).then(|| pod.uid.clone())
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn remove(&mut self, key: &Name) {
        let Some(Pod { account, .. }) = self.pods.remove(key) else { return };
        let key = (key.0.clone(), account);
        if let Some(count) = self.running.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.running.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_there_as_long_as_it_and_a_pod_of_it_are() {
        let workloads = Workloads::default();
        let web = SpiffeId::new("cluster.local", "shop", "web").unwrap();
        assert!(workloads.has_account(&web) && workloads.has_pod(&web), "nothing has been read yet");
        workloads.synced();
        workloads.accounts(HashSet::new());
        assert!(!workloads.has_account(&web) && !workloads.has_pod(&web));
        workloads.account("shop", "web", true);
        workloads.pod("shop", "web-1", "u1", "web");
        workloads.pod("shop", "web-1", "u1", "web");
        workloads.pod("shop", "web-2", "u2", "web");
        assert!(workloads.has_account(&web) && workloads.has_pod(&web));
        assert_eq!(workloads.pod_of(&web, "web-1").as_deref(), Some("u1"));
        workloads.pod_gone("shop", "web-2");
        workloads.pod("shop", "web-1", "u3", "other");
        assert!(!workloads.has_pod(&web));
        assert_eq!(workloads.pod_of(&web, "web-1"), None);
        workloads.account("shop", "web", false);
        assert!(!workloads.has_account(&web));
        workloads.pod_gone("shop", "web-1");
        assert!(workloads.read().running.is_empty() && workloads.read().pods.is_empty());
    }
}
