//! What a replica tells the leader. Only to replicas: whoever asks has to run as the controller itself.

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};
use tracing::warn;
use wire::replica as message;
use wire::replica::replica_server::{Replica, ReplicaServer};

use super::convert;
use crate::fleet::{Dirty, Fleet, Gone};
use crate::identity::Authenticator;
use crate::serving::Handle;

/// The longest wait for something to tell; then there is nothing, and the caller asks again.
const WAIT: Duration = Duration::from_secs(15);
/// Between two answers, so that a storm of changes becomes few of them.
const PACE: Duration = Duration::from_millis(20);

/// Answers replicas.
pub struct ReplicaService {
    fleet: Fleet,
    authenticator: Arc<Authenticator>,
    namespace: String,
    service_account: String,
}

impl ReplicaService {
    /// For controllers that run in this namespace as this service account.
    #[must_use]
    pub fn new(
        fleet: Fleet,
        authenticator: Arc<Authenticator>,
        namespace: &str,
        service_account: &str,
    ) -> ReplicaServer<Self> {
        let (namespace, service_account) = (namespace.to_owned(), service_account.to_owned());
        // What the leader lacks may be about every object there is.
        ReplicaServer::new(Self { fleet, authenticator, namespace, service_account })
            .max_decoding_message_size(16 << 20)
            .max_encoding_message_size(64 << 20)
    }

    async fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let handle = request.extensions().get::<Handle>();
        let handle = handle.ok_or_else(|| Status::internal("the connection is not known"))?;
        let info = handle.info();
        let peer = self.authenticator.authenticate(info, request.metadata()).await.map_err(Status::from)?;
        handle.proven();
        if peer.identity.namespace() == self.namespace && peer.identity.service_account() == self.service_account {
            return Ok(());
        }
        warn!(peer = %peer.identity, address = %info.remote, "somebody else asks what only replicas are told");
        Err(Status::permission_denied("this is for replicas of the controller"))
    }
}

fn gone(gone: Gone) -> Status {
    Status::unavailable(gone.to_string())
}

#[tonic::async_trait]
impl Replica for ReplicaService {
    async fn changes(
        &self,
        request: Request<message::ChangesRequest>,
    ) -> Result<Response<message::ChangesResponse>, Status> {
        self.admit(&request).await?;
        if request.into_inner().all {
            self.fleet.mark_all_dirty().await.map_err(gone)?;
        }
        let mut dirty = self.fleet.dirty();
        dirty.borrow_and_update();
        let mut taken = self.fleet.take_dirty().await.map_err(gone)?;
        if taken == Dirty::default() && tokio::time::timeout(WAIT, dirty.changed()).await.is_ok() {
            tokio::time::sleep(PACE).await;
            taken = self.fleet.take_dirty().await.map_err(gone)?;
        }
        let scopes = self.fleet.served().await.map_err(gone)?;
        Ok(Response::new(message::ChangesResponse {
            urgent: convert::keys(&taken.urgent),
            lazy: convert::keys(&taken.lazy),
            scopes: scopes.iter().map(convert::scope).collect(),
        }))
    }

    async fn progress(
        &self,
        request: Request<message::ProgressRequest>,
    ) -> Result<Response<message::ProgressResponse>, Status> {
        self.admit(&request).await?;
        let keys = request.into_inner().keys.into_iter().filter_map(convert::read_key).collect();
        let known = self.fleet.status_of(keys).await.map_err(gone)?;
        Ok(Response::new(message::ProgressResponse { objects: known.into_iter().map(convert::progress).collect() }))
    }
}
