//! Why a peer is not let in, in words for the person who runs it. The peer is told about its own credential and nothing
//! about anything else.

use tonic::Status;

use super::certificate::CertificateProblem;

/// A peer that has not proven who it is, or could not be asked for its proof.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("a client certificate of the mesh or a service account token is needed (authorization: Bearer …)")]
    NoCredential,
    #[error("client certificate refused: {0}")]
    Certificate(#[source] CertificateProblem),
    #[error("the authorization metadata must be one value, \"Bearer\" and a token")]
    MalformedToken,
    #[error("the token has more than {limit} bytes")]
    TokenTooLong { limit: usize },
    #[error("the API server does not accept the token{hint}")]
    TokenRejected { hint: String },
    #[error("the API server did not check the token for the audience {audiences}; it must know that audience")]
    AudienceIgnored { audiences: String },
    #[error("the token belongs to {user}, which is not a service account")]
    NotAServiceAccount { user: String },
    #[error("service account {account} of namespace {namespace} does not exist")]
    NoAccount { namespace: String, account: String },
    #[error(
        "a certificate is renewed by a certificate only while a pod runs as its service account; a token is needed"
    )]
    NoPod,
    #[error("certificates were renewed by certificates for too long; a token is needed")]
    ChainTooLong,
    #[error("too many tokens from this address were refused; try again in a minute")]
    TooManyRefused,
    #[error("tokens cannot be checked at the moment; try again later")]
    Unavailable,
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::NoCredential
            | Refusal::Certificate(_)
            | Refusal::MalformedToken
            | Refusal::TokenTooLong { .. }
            | Refusal::TokenRejected { .. }
            | Refusal::NoAccount { .. }
            | Refusal::NoPod
            | Refusal::ChainTooLong => Self::unauthenticated(text),
            Refusal::AudienceIgnored { .. } | Refusal::NotAServiceAccount { .. } => Self::permission_denied(text),
            Refusal::TooManyRefused => Self::resource_exhausted(text),
            Refusal::Unavailable => Self::unavailable(text),
        }
    }
}
