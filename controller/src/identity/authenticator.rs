//! Turns what a connection and a request bring into a proven identity, or into a refusal.
//!
//! If there are both a good certificate and a token, the certificate decides and the token is not looked at: the
//! certificate was proven with a private key and can be checked here, so that proxies keep coming back while the API
//! server is away. A certificate that no longer holds, as after a change of roots under an open connection, does not
//! stand in the way of a good token.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Semaphore;
use tonic::metadata::MetadataMap;
use tracing::{debug, warn};

use super::cache::{Answer, TokenCache};
use super::certificate::CertificateVerifier;
use super::refusal::Refusal;
use super::review::{Review, TokenReviewer, TokenUser};
use super::spiffe::SpiffeId;
use super::token::Token;
use super::{CredentialKind, Peer};
use crate::serving::PeerInfo;

const USER_PREFIX: &str = "system:serviceaccount:";
const GROUP: &str = "system:serviceaccounts";

/// How tokens are checked.
#[derive(Clone, Debug)]
pub struct Options {
    /// A token has to be for one of these.
    pub audiences: Vec<String>,
    /// For how long a good answer about a token is kept; never beyond its expiry.
    pub keep_accepted: Duration,
    /// For how long a bad answer is kept.
    pub keep_rejected: Duration,
    /// Most reviews at the same time.
    pub concurrent_reviews: usize,
    /// Longest wait for a turn.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            audiences: vec!["istio-ca".into()],
            keep_accepted: Duration::from_secs(60),
            keep_rejected: Duration::from_secs(1),
            concurrent_reviews: 32,
            patience: Duration::from_secs(10),
        }
    }
}

/// Checks who is at the other end.
pub struct Authenticator {
    reviewer: Arc<dyn TokenReviewer>,
    certificates: CertificateVerifier,
    options: Options,
    cache: Mutex<TokenCache>,
    turns: Semaphore,
}

impl Authenticator {
    #[must_use]
    pub fn new(reviewer: Arc<dyn TokenReviewer>, certificates: CertificateVerifier, options: Options) -> Self {
        let turns = Semaphore::new(options.concurrent_reviews.max(1));
        Self { reviewer, certificates, options, cache: Mutex::default(), turns }
    }

    /// Who sends this request over this connection.
    ///
    /// # Errors
    /// A refusal that can be answered as it is.
    pub async fn authenticate(&self, info: &PeerInfo, metadata: &MetadataMap) -> Result<Peer, Refusal> {
        self.authenticate_at(info, metadata, SystemTime::now(), Instant::now()).await
    }

    pub(super) async fn authenticate_at(
        &self,
        info: &PeerInfo,
        metadata: &MetadataMap,
        now: SystemTime,
        tick: Instant,
    ) -> Result<Peer, Refusal> {
        let problem = if info.certificates.is_empty() {
            None
        } else {
            match self.certificates.verify(&info.certificates, now) {
                Ok(verified) => {
                    return Ok(Peer {
                        identity: verified.identity,
                        pod: None,
                        credential: CredentialKind::Certificate,
                        expires: Some(verified.expires),
                    });
                }
                Err(problem) => Some(problem),
            }
        };
        match (Token::of(metadata)?, problem) {
            (Some(token), _) => self.by_token(&token, now, tick).await,
            (None, Some(problem)) => Err(Refusal::Certificate(problem)),
            (None, None) => Err(Refusal::NoCredential),
        }
    }

    async fn by_token(&self, token: &Token<'_>, now: SystemTime, tick: Instant) -> Result<Peer, Refusal> {
        let hash = token.hash();
        let known = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&hash, tick);
        match known {
            // The clock may have passed the expiry by a jump.
            Some(Answer::Accepted(peer)) if peer.expires.is_none_or(|expires| now < expires) => return Ok(peer),
            Some(Answer::Rejected) => return Err(self.rejected(token, now)),
            Some(Answer::Accepted(_)) | None => {}
        }
        let answer = self.ask(token).await?;
        let expires = token.claims().and_then(|claims| claims.expires());
        let (result, keep) = match answer {
            Review::Authenticated(user) => {
                let peer = self.peer(user, expires)?;
                let left = expires.map_or(Duration::MAX, |it| it.duration_since(now).unwrap_or_default());
                (Answer::Accepted(peer), self.options.keep_accepted.min(left))
            }
            Review::Rejected { reason } => {
                debug!(reason, "the API server does not accept a token");
                (Answer::Rejected, self.options.keep_rejected)
            }
        };
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).put(hash, result.clone(), keep, tick);
        match result {
            Answer::Accepted(peer) => Ok(peer),
            Answer::Rejected => Err(self.rejected(token, now)),
        }
    }

    async fn ask(&self, token: &Token<'_>) -> Result<Review, Refusal> {
        let Ok(Ok(_turn)) = tokio::time::timeout(self.options.patience, self.turns.acquire()).await else {
            warn!("too many token reviews are waiting for the API server");
            return Err(Refusal::Unavailable);
        };
        self.reviewer.review(token.secret(), &self.options.audiences).await.map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            warn!(%error, source, "a token cannot be checked");
            Refusal::Unavailable
        })
    }

    fn peer(&self, user: TokenUser, expires: Option<SystemTime>) -> Result<Peer, Refusal> {
        let TokenUser { username, groups, audiences, pod } = user;
        // A server that does not know audiences leaves the list empty: then the token is one for the server itself.
        if !audiences.iter().any(|audience| self.options.audiences.contains(audience)) {
            return Err(Refusal::AudienceIgnored { audiences: self.options.audiences.join(" or ") });
        }
        let domains = self.certificates.trust_domains();
        let identity = username
            .strip_prefix(USER_PREFIX)
            .filter(|_| groups.iter().any(|group| group == GROUP))
            .and_then(|rest| rest.split_once(':'))
            .and_then(|(namespace, account)| SpiffeId::new(domains.own(), namespace, account).ok());
        let Some(identity) = identity else {
            let user = username.escape_debug().take(256).collect();
            return Err(Refusal::NotAServiceAccount { user });
        };
        Ok(Peer { identity, pod, credential: CredentialKind::Token, expires })
    }

    fn rejected(&self, token: &Token<'_>, now: SystemTime) -> Refusal {
        let hint = token.claims().map(|claims| claims.hint(&self.options.audiences, now)).unwrap_or_default();
        Refusal::TokenRejected { hint }
    }
}
