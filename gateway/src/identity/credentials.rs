//! By what this proxy shows who it is: its certificate once it has one, else its token. One of the two, never both.

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;
use tonic::{Code, Status};

use crate::identity::Identity;
use crate::identity::token::{Token, TokenError};

/// What is shown on one connection.
#[derive(Debug)]
pub(crate) enum Credential {
    Certificate(Arc<Identity>),
    Token(Token),
}

impl Credential {
    /// The certificate to show in the handshake.
    pub(crate) fn identity(&self) -> Option<&Arc<Identity>> {
        match self {
            Self::Certificate(identity) => Some(identity),
            Self::Token(_) => None,
        }
    }

    /// The token to send with requests.
    pub(crate) fn token(&self) -> Option<&Token> {
        match self {
            Self::Certificate(_) => None,
            Self::Token(token) => Some(token),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "certificate",
            Self::Token(_) => "token",
        }
    }
}

/// Chooses between them.
#[derive(Debug)]
pub(crate) struct Credentials {
    current: watch::Receiver<Option<Arc<Identity>>>,
    token: PathBuf,
    /// A certificate that was refused is not shown again: its root may be gone from the controller.
    refused: Mutex<Option<Arc<Identity>>>,
}

impl Credentials {
    pub(crate) fn new(current: watch::Receiver<Option<Arc<Identity>>>, token: PathBuf) -> Self {
        Self { current, token, refused: Mutex::default() }
    }

    /// The credential for a connection made now.
    ///
    /// # Errors
    /// When there is no certificate that can be used, and no token.
    pub(crate) fn choose(&self, now: SystemTime) -> Result<Credential, TokenError> {
        let current = self.current.borrow().clone().filter(|identity| identity.expires() > now);
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_refused = |identity: &Arc<Identity>| refused.as_ref().is_some_and(|it| Arc::ptr_eq(it, identity));
        match current {
            Some(identity) if !is_refused(&identity) => Ok(Credential::Certificate(identity)),
            current => match (Token::read(&self.token), current) {
                (Ok(token), _) => Ok(Credential::Token(token)),
                // Better a second try than none.
                (Err(_), Some(identity)) => Ok(Credential::Certificate(identity)),
                (Err(error), None) => Err(error),
            },
        }
    }

    /// Takes note of a credential that did not open the door.
    pub(crate) fn refused(&self, credential: &Credential) {
        if let Credential::Certificate(identity) = credential {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(identity));
        }
    }
}

/// Whether a call that was not answered may have failed for its credential: the other end said so, or hung up as soon as
/// it had seen the certificate.
pub(crate) fn is_refusal(status: &Status) -> bool {
    matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied) || status.source().is_some()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;
    use crate::identity::tests::identity;

    #[test]
    fn the_certificate_comes_first_unless_it_expired_or_was_refused() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("token");
        let (current, seen) = watch::channel(None);
        let credentials = Credentials::new(seen, path.clone());
        let now = SystemTime::now();
        assert!(credentials.choose(now).is_err());
        std::fs::write(&path, "token").unwrap();
        assert_eq!(credentials.choose(now).unwrap().name(), "token");
        current.send_replace(Some(Arc::new(identity())));
        let credential = credentials.choose(now).unwrap();
        assert_eq!(credential.name(), "certificate");
        assert!(credential.token().is_none());
        let expired = credential.identity().unwrap().expires() + Duration::from_secs(1);
        assert_eq!(credentials.choose(expired).unwrap().name(), "token");
        credentials.refused(&credential);
        assert_eq!(credentials.choose(now).unwrap().name(), "token");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(credentials.choose(now).unwrap().name(), "certificate");
        // A new one has not been refused.
        std::fs::write(&path, "token").unwrap();
        current.send_replace(Some(Arc::new(identity())));
        assert_eq!(credentials.choose(now).unwrap().name(), "certificate");
    }
}
