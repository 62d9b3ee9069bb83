//! Turns what a connection and a request bring into a proven identity, or into a refusal.
//!
//! If there are both a good certificate and a token, the certificate decides and the token is not looked at: the
//! certificate was proven with a private key and can be checked here, so that proxies keep coming back while the API
//! server is away. A certificate that no longer holds, as after a change of roots under an open connection, does not
//! stand in the way of a good token.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tonic::metadata::MetadataMap;
use tracing::{debug, warn};

use super::cache::{Answer, TokenCache};
use super::certificate::{CertificateVerifier, VerifiedCertificate};
use super::refusal::Refusal;
use super::review::{Review, TokenReviewer, TokenUser};
use super::spiffe::SpiffeId;
use super::token::Token;
use super::workloads::Workloads;
use super::{CredentialKind, Peer};
use crate::bucket::Sparse;
use crate::ca::RateLimit;
use crate::serving::{PeerInfo, party};
use crate::shares::{Known, Places};
use crate::turns::Turns;

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
    /// The same for one address.
    pub reviews_per_address: usize,
    /// Tokens of one address that are refused in a minute; beyond, it is not asked about further ones.
    pub refused_per_minute: u32,
    /// For how long certificates may be renewed by certificates.
    pub chain: Duration,
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
            reviews_per_address: 8,
            refused_per_minute: 60,
            chain: Duration::from_secs(7 * 24 * 60 * 60),
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
    turns: Turns<IpAddr>,
    /// Addresses that have proven an identity before.
    known: Mutex<Known<IpAddr>>,
    refused: Mutex<RateLimit<IpAddr>>,
    workloads: Option<Arc<Workloads>>,
    lines: Sparse,
}

/// How a proof may have been come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// What was found out about a token a moment ago still holds.
    Current,
    /// For what lasts for a day: the API server is asked, and a certificate counts only for a workload that is there.
    Fresh,
}

/// Addresses that are remembered.
const KNOWN: usize = 10_000;
/// Calls of one address that may wait for a review.
const WAITING: usize = 1_024;
/// Lines that peers may cause in the log in a minute.
const LINES: u32 = 60;
/// How often, and how far apart, a service account that is not there is looked for: word of it may be behind its pods.
const LOOKS: u32 = 5;
const LOOK: Duration = Duration::from_millis(200);

impl Authenticator {
    #[must_use]
    pub fn new(reviewer: Arc<dyn TokenReviewer>, certificates: CertificateVerifier, options: Options) -> Self {
        let Options { concurrent_reviews: all, reviews_per_address: each, refused_per_minute, .. } = options;
        let turns = Turns::new(Places { all, each, reserve: all / 4 }, WAITING);
        Self {
            reviewer,
            certificates,
            options,
            cache: Mutex::default(),
            turns,
            known: Mutex::new(Known::new(KNOWN)),
            refused: Mutex::new(RateLimit::new(refused_per_minute)),
            workloads: None,
            lines: Sparse::per_minute(LINES),
        }
    }

    /// Identities count only as long as their workloads exist.
    #[must_use]
    pub fn with_workloads(self, workloads: Arc<Workloads>) -> Self {
        Self { workloads: Some(workloads), ..self }
    }

    /// Who sends this request over this connection.
    ///
    /// # Errors
    /// A refusal that can be answered as it is.
    pub async fn authenticate(&self, info: &PeerInfo, metadata: &MetadataMap) -> Result<Peer, Refusal> {
        self.authenticate_at(info, metadata, Demand::Current, SystemTime::now(), Instant::now()).await
    }

    /// Who sends this request for a certificate. Nothing is taken from memory; a certificate is renewed by another one
    /// only for a workload that still exists, and not for ever (docs/security.md, CP-2).
    ///
    /// # Errors
    /// A refusal that can be answered as it is.
    pub async fn authenticate_for_certificate(&self, info: &PeerInfo, metadata: &MetadataMap) -> Result<Peer, Refusal> {
        self.authenticate_at(info, metadata, Demand::Fresh, SystemTime::now(), Instant::now()).await
    }

    pub(super) async fn authenticate_at(
        &self,
        info: &PeerInfo,
        metadata: &MetadataMap,
        demand: Demand,
        now: SystemTime,
        tick: Instant,
    ) -> Result<Peer, Refusal> {
        let address = party(info.remote.ip());
        let peer = self.prove(info, address, metadata, demand, now, tick).await?;
        self.known().note(address, tick);
        Ok(peer)
    }

    async fn prove(
        &self,
        info: &PeerInfo,
        address: IpAddr,
        metadata: &MetadataMap,
        demand: Demand,
        now: SystemTime,
        tick: Instant,
    ) -> Result<Peer, Refusal> {
        let problem = if info.certificates.is_empty() {
            None
        } else {
            match self.by_certificate(info, demand, now).await {
                Ok(peer) => return Ok(peer),
                Err(problem) => Some(problem),
            }
        };
        match (Token::of(metadata)?, problem) {
            (Some(token), _) => self.by_token(&token, address, demand, now, tick).await,
            (None, Some(problem)) => Err(problem),
            (None, None) => Err(Refusal::NoCredential),
        }
    }

    async fn by_certificate(&self, info: &PeerInfo, demand: Demand, now: SystemTime) -> Result<Peer, Refusal> {
        let verified = self.certificates.verify(&info.certificates, now).map_err(Refusal::Certificate)?;
        let VerifiedCertificate { identity, expires, begun } = verified;
        self.exists(&identity).await?;
        if demand == Demand::Fresh {
            if self.workloads.as_ref().is_some_and(|workloads| !workloads.has_pod(&identity)) {
                return Err(Refusal::NoPod);
            }
            if now.duration_since(begun).unwrap_or_default() > self.options.chain {
                return Err(Refusal::ChainTooLong);
            }
        }
        let (expires, begun) = (Some(expires), Some(begun));
        Ok(Peer { identity, pod: None, credential: CredentialKind::Certificate, expires, begun })
    }

    /// A proof is worth nothing once the service account is gone.
    async fn exists(&self, identity: &SpiffeId) -> Result<(), Refusal> {
        let Some(workloads) = &self.workloads else { return Ok(()) };
        for look in 0..LOOKS {
            if workloads.has_account(identity) {
                return Ok(());
            }
            if look + 1 < LOOKS {
                tokio::time::sleep(LOOK).await;
            }
        }
        let (namespace, account) = (identity.namespace().to_owned(), identity.service_account().to_owned());
        Err(Refusal::NoAccount { namespace, account })
    }

    async fn by_token(
        &self,
        token: &Token<'_>,
        address: IpAddr,
        demand: Demand,
        now: SystemTime,
        tick: Instant,
    ) -> Result<Peer, Refusal> {
        // What cannot be a token for us costs the API server nothing.
        let claims = token.claims().filter(|claims| claims.is_plausible(&self.options.audiences, now));
        let Some(claims) = claims else { return Err(self.rejected(token, now)) };
        let hash = token.hash();
        let known = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&hash, tick);
        match (known, demand) {
            // The clock may have passed the expiry by a jump.
            (Some(Answer::Accepted(peer)), Demand::Current) if peer.expires.is_none_or(|expires| now < expires) => {
                self.exists(&peer.identity).await?;
                return Ok(peer);
            }
            (Some(Answer::Rejected), _) => return Err(self.rejected(token, now)),
            (Some(Answer::Accepted(_)) | None, _) => {}
        }
        if !self.refused().has_turn(&address, tick) {
            return Err(Refusal::TooManyRefused);
        }
        let answer = self.ask(token, address, tick).await?;
        let expires = claims.expires();
        let (result, keep) = match answer {
            Review::Authenticated(user) => {
                let peer = self.peer(user, expires, now)?;
                let left = expires.map_or(Duration::MAX, |it| it.duration_since(now).unwrap_or_default());
                (Answer::Accepted(peer), self.options.keep_accepted.min(left))
            }
            Review::Rejected { reason } => {
                debug!(reason, "the API server does not accept a token");
                self.refused().take(address, tick);
                (Answer::Rejected, self.options.keep_rejected)
            }
        };
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).put(hash, result.clone(), keep, tick);
        match result {
            Answer::Accepted(peer) => Ok(peer),
            Answer::Rejected => Err(self.rejected(token, now)),
        }
    }

    async fn ask(&self, token: &Token<'_>, address: IpAddr, tick: Instant) -> Result<Review, Refusal> {
        let known = self.known().contains(&address, tick);
        let Some(_turn) = self.turns.take(address, known, self.options.patience).await else {
            if self.lines.allows() {
                warn!(%address, "too many token reviews are waiting for the API server");
            }
            return Err(Refusal::Unavailable);
        };
        self.reviewer.review(token.secret(), &self.options.audiences).await.map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            if self.lines.allows() {
                warn!(%error, source, "a token cannot be checked");
            }
            Refusal::Unavailable
        })
    }

    fn known(&self) -> MutexGuard<'_, Known<IpAddr>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> MutexGuard<'_, RateLimit<IpAddr>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn peer(&self, user: TokenUser, expires: Option<SystemTime>, now: SystemTime) -> Result<Peer, Refusal> {
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
        Ok(Peer { identity, pod, credential: CredentialKind::Token, expires, begun: Some(now) })
    }

    fn rejected(&self, token: &Token<'_>, now: SystemTime) -> Refusal {
        let hint = token.claims().map(|claims| claims.hint(&self.options.audiences, now)).unwrap_or_default();
        Refusal::TokenRejected { hint }
    }
}
