//! Who is at the other end of a connection to the controller: decided by what was proven, a certificate of the mesh or a
//! token that the API server has checked, never by what a peer says of itself. Does not decide what anybody may have.

mod authenticator;
mod cache;
mod certificate;
pub(crate) mod chain;
mod refusal;
mod review;
mod spiffe;
#[cfg(test)]
mod tests;
mod token;
mod trust;
mod workloads;

use std::time::SystemTime;

pub use authenticator::{Authenticator, Options};
pub use certificate::{CertificateProblem, CertificateVerifier, VerifiedCertificate};
pub(crate) use certificate::{system_time, unix_time};
pub use refusal::Refusal;
pub use review::{KubeReviewer, Review, ReviewError, TokenReviewer, TokenUser};
pub use spiffe::{SpiffeId, SpiffeIdError};
pub use trust::{TrustBundle, TrustBundleError, TrustDomains};
pub use workloads::Workloads;

/// A peer that has proven who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub identity: SpiffeId,
    /// The pod that its token is bound to. Certificates do not name one.
    pub pod: Option<PodRef>,
    pub credential: CredentialKind,
    /// When the proof ends; unknown for tokens that never expire.
    pub expires: Option<SystemTime>,
    /// When the identity was proven to the API server: by this token, or by the one that the first of the certificates was
    /// issued for of which this is the last. Unknown where certificates are of an authority that does not say.
    pub begun: Option<SystemTime>,
}

/// A pod by name and by the identifier that no other pod of that name shares.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodRef {
    pub name: String,
    pub uid: String,
}

/// What a peer has proven its identity with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    Token,
    Certificate,
}
