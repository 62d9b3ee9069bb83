//! Whether the workload of a stream still exists: the same pod, and its service account. A stream outlives neither by more
//! than a moment, whatever its proxy still holds.

use std::sync::Arc;

use tonic::Status;

use crate::identity::{SpiffeId, Workloads};

/// What a stream's right to be served hangs on.
#[derive(Debug)]
pub(super) struct Life {
    workloads: Arc<Workloads>,
    identity: SpiffeId,
    pod: String,
    /// Of the pod when the stream began; another pod of the same name is another workload.
    uid: Option<String>,
}

impl Life {
    pub(super) fn of(workloads: Arc<Workloads>, identity: SpiffeId, pod: &str) -> Self {
        let uid = workloads.pod_of(&identity, pod);
        Self { workloads, identity, pod: pod.to_owned(), uid }
    }

    /// # Errors
    /// What the proxy is told when it is over.
    pub(super) fn goes_on(&self) -> Result<(), Status> {
        if !self.workloads.has_account(&self.identity) {
            return Err(Status::unauthenticated("the service account does not exist any more"));
        }
        if self.uid.is_none() || self.workloads.pod_of(&self.identity, &self.pod) != self.uid {
            return Err(Status::unauthenticated("the pod does not exist any more"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_ends_with_its_pod_or_its_account() {
        let workloads = Arc::new(Workloads::default());
        workloads.pod("shop", "web-0", "u1", "web");
        workloads.accounts([("shop".to_owned(), "web".to_owned())].into());
        workloads.synced();
        let identity = SpiffeId::new("cluster.local", "shop", "web").unwrap();
        let life = Life::of(Arc::clone(&workloads), identity.clone(), "web-0");
        assert!(life.goes_on().is_ok());
        // A StatefulSet's next pod has the same name.
        workloads.pod("shop", "web-0", "u2", "web");
        assert!(life.goes_on().is_err());
        let life = Life::of(Arc::clone(&workloads), identity, "web-0");
        assert!(life.goes_on().is_ok());
        workloads.account("shop", "web", false);
        assert_eq!(life.goes_on().unwrap_err().message(), "the service account does not exist any more");
        workloads.account("shop", "web", true);
        workloads.pod_gone("shop", "web-0");
        assert_eq!(life.goes_on().unwrap_err().message(), "the pod does not exist any more");
    }
}
