//! Who this proxy is: a private key and a certificate that the mesh's authority issued for the workload's token, and the
//! connections on which they are shown. The name comes from the authority, never from here (D8).

mod agent;
mod authority;
pub mod channel;
pub(crate) mod credentials;
pub(crate) mod key;
pub(crate) mod roots;
mod schedule;
pub(crate) mod token;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::identity::key::{Key, KeyError};
use crate::tls::facts::{Facts, FactsError};

pub(crate) use agent::Agent;

/// Why an authority's answer is not a certificate for us.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("the answer is not PEM")]
    Pem(#[source] rustls_pki_types::pem::Error),
    #[error("the answer holds no certificate")]
    Empty,
    #[error("the certificate cannot be read")]
    Facts(#[from] FactsError),
    #[error("the certificate is for another key")]
    OtherKey(#[source] rustls::Error),
    #[error("the private key cannot be used")]
    Key(#[from] KeyError),
}

/// A certificate with its key.
pub struct Identity {
    certified: Arc<CertifiedKey>,
    root: Option<CertificateDer<'static>>,
    facts: Facts,
}

impl Identity {
    /// Takes the authority's answer: the leaf first, the root last.
    ///
    /// # Errors
    /// When it is not a certificate for that key.
    pub(crate) fn new(key: &Key, answer: &[String]) -> Result<Self, IdentityError> {
        let mut chain: Vec<CertificateDer<'static>> = Vec::new();
        for text in answer {
            for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
                chain.push(certificate.map_err(IdentityError::Pem)?);
            }
        }
        let facts = Facts::of(chain.first().ok_or(IdentityError::Empty)?)?;
        // Whoever verifies us has the root; a chain of one has none.
        let root = if chain.len() > 1 { chain.pop() } else { None };
        let certified = CertifiedKey::new(chain, key.signing()?);
        certified.keys_match().map_err(IdentityError::OtherKey)?;
        Ok(Self { certified: Arc::new(certified), root, facts })
    }

    /// As TLS uses it.
    #[must_use]
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// The root that the authority named.
    #[must_use]
    pub fn root(&self) -> Option<&CertificateDer<'static>> {
        self.root.as_ref()
    }

    /// `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`; empty where the certificate names none.
    #[must_use]
    pub fn spiffe_id(&self) -> &str {
        self.facts.uris.first().map(String::as_str).unwrap_or_default()
    }

    #[must_use]
    pub fn expires(&self) -> SystemTime {
        self.facts.not_after
    }

    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("facts", &self.facts).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair};

    use super::*;

    /// An authority's answer to a request.
    pub(crate) fn sign(request: &str) -> Vec<String> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        let request = CertificateSigningRequestParams::from_pem(request).unwrap();
        let leaf = request.signed_by(&Issuer::new(params, key)).unwrap().pem();
        vec![leaf, root]
    }

    pub(crate) fn identity() -> Identity {
        let key = Key::generate().unwrap();
        Identity::new(&key, &sign(&key.request(Some("spiffe://td/ns/a/sa/b")).unwrap())).unwrap()
    }

    #[test]
    fn an_answer_becomes_an_identity_without_its_root() {
        let identity = identity();
        assert_eq!(identity.spiffe_id(), "spiffe://td/ns/a/sa/b");
        assert_eq!(identity.certified_key().cert.len(), 1);
        assert!(identity.root().is_some());
        let shown = format!("{identity:?}");
        assert!(shown.contains("spiffe://td") && !shown.contains("key:"), "{shown}");
    }

    #[test]
    fn an_answer_that_is_not_for_this_key_is_refused() {
        let (key, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        let answer = sign(&other.request(None).unwrap());
        assert!(matches!(Identity::new(&key, &answer), Err(IdentityError::OtherKey(_))));
        assert!(matches!(Identity::new(&key, &[]), Err(IdentityError::Empty)));
        assert!(matches!(Identity::new(&key, &["text".to_owned()]), Err(IdentityError::Empty)));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
        assert!(matches!(Identity::new(&key, &[broken]), Err(IdentityError::Facts(_))));
    }
}
