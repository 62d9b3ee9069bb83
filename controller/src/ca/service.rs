//! Istio's certificate signing service, `istio.v1.auth.IstioCertificateService`: authenticates, limits, signs, and leaves
//! one line in the log for each certificate. The identity in a certificate is the one that was proven.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tonic::{Request, Response, Status};
use tracing::{debug, error, info};
use wire::ca::istio_certificate_service_server::{IstioCertificateService, IstioCertificateServiceServer};
use wire::ca::{IstioCertificateRequest, IstioCertificateResponse};

use super::authority::{Authority, SignError};
use super::limit::RateLimit;
use super::metrics::Metrics;
use crate::identity::{Authenticator, CredentialKind, Peer, Refusal, SpiffeId};
use crate::serving::{Handle, PeerInfo, party};

/// Largest message that is read: a certificate request of the greatest length and some metadata (docs/security.md, CP-4).
const MAX_REQUEST: usize = 128 * 1024;
/// Largest message that is sent: roots of the mesh may be many.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// In requests of node agents that want a certificate for somebody else.
const IMPERSONATED: &str = "ImpersonatedIdentity";

/// Signs certificates for whoever has proven an identity.
pub struct CertificateService {
    authority: Arc<Authority>,
    authenticator: Arc<Authenticator>,
    limit: Mutex<RateLimit<Asker>>,
    metrics: Metrics,
}

/// Who shares one allowance. An identity is shared by all pods of a Deployment, which start and renew together, so that
/// each of them has its own: by the pod that the token names, or by the address that a certificate comes from.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Asker {
    identity: SpiffeId,
    pod: Result<String, IpAddr>,
}

impl CertificateService {
    /// So many requests in a minute are allowed to each workload.
    #[must_use]
    pub fn new(
        authority: Arc<Authority>,
        authenticator: Arc<Authenticator>,
        requests_per_minute: u32,
        metrics: Metrics,
    ) -> Self {
        metrics.observe(&authority);
        Self { authority, authenticator, limit: Mutex::new(RateLimit::new(requests_per_minute)), metrics }
    }

    /// To be added to a gRPC server whose connections are `serving::Connection`s.
    #[must_use]
    pub fn into_server(self) -> IstioCertificateServiceServer<Self> {
        IstioCertificateServiceServer::new(self)
            .max_decoding_message_size(MAX_REQUEST)
            .max_encoding_message_size(MAX_ANSWER)
    }

    fn allowed(&self, peer: &Peer, info: &PeerInfo) -> bool {
        let pod = peer.pod.as_ref().map(|pod| pod.uid.clone()).ok_or(party(info.remote.ip()));
        let asker = Asker { identity: peer.identity.clone(), pod };
        self.limit.lock().unwrap_or_else(PoisonError::into_inner).take(asker, Instant::now())
    }

    fn failed(&self, peer: &Peer, failure: &SignError) -> Status {
        match failure {
            SignError::Request(problem) => {
                self.metrics.unreadable.inc();
                debug!(identity = %peer.identity, %problem, "certificate request refused");
                Status::invalid_argument(problem.to_string())
            }
            SignError::Expired => {
                self.metrics.sign_errors.with_label_values(&["CA_EXPIRED"]).inc();
                error!("the certificate authority has expired: no certificate can be issued until it is replaced");
                Status::failed_precondition(failure.to_string())
            }
            SignError::Sign(source) => {
                self.metrics.sign_errors.with_label_values(&["CERT_GEN_ERROR"]).inc();
                error!(identity = %peer.identity, %source, "a certificate could not be signed");
                Status::internal("the certificate could not be signed")
            }
        }
    }
}

#[tonic::async_trait]
impl IstioCertificateService for CertificateService {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        self.metrics.requests.inc();
        let handle = request.extensions().get::<Handle>();
        let handle = handle.ok_or_else(|| Status::internal("the connection is not known"))?;
        let info = handle.info().clone();
        let peer = match self.authenticator.authenticate_for_certificate(&info, request.metadata()).await {
            Ok(peer) => peer,
            Err(refusal) => {
                // Tokens that cannot be checked are no failure of the sender.
                if !matches!(refusal, Refusal::Unavailable) {
                    self.metrics.authentication_failures.inc();
                }
                debug!(remote = %info.remote, %refusal, "certificate request refused");
                return Err(refusal.into());
            }
        };
        handle.proven();
        if !self.allowed(&peer, &info) {
            self.metrics.throttled.inc();
            return Err(Status::resource_exhausted("too many certificate requests; try again in a minute"));
        }
        let IstioCertificateRequest { csr, validity_duration, metadata } = request.into_inner();
        if metadata.is_some_and(|metadata| metadata.fields.contains_key(IMPERSONATED)) {
            return Err(Status::permission_denied("certificates are issued for the sender's own identity only"));
        }
        let wanted = u64::try_from(validity_duration).ok().filter(|it| *it > 0).map(Duration::from_secs);
        let now = SystemTime::now();
        let signed = match (peer.credential, peer.begun) {
            (CredentialKind::Certificate, Some(begun)) => {
                self.authority.renew(&csr, &peer.identity, wanted, begun, now)
            }
            (CredentialKind::Certificate, None) | (CredentialKind::Token, _) => {
                self.authority.sign(&csr, &peer.identity, wanted, now)
            }
        };
        let signed = signed.map_err(|failure| self.failed(&peer, &failure))?;
        self.metrics.issued.inc();
        info!(
            identity = %peer.identity,
            pod = peer.pod.as_ref().map(|pod| pod.name.as_str()),
            remote = %info.remote,
            serial = signed.serial,
            expires = %rfc3339(signed.expires),
            "certificate issued"
        );
        Ok(Response::new(IstioCertificateResponse { cert_chain: signed.chain }))
    }
}

/// As logs show it.
fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "-".into(), |it| it.to_string())
}
