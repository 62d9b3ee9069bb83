//! What the mesh trusts: its trust domain with the other names of it, and its root certificates. Both may change while
//! the controller runs.

use std::fmt;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, TrustAnchor};

use super::spiffe::is_trust_domain;

/// The trust domain of the mesh, and those that count as the same (`meshConfig.trustDomain`, `trustDomainAliases`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustDomains {
    own: String,
    aliases: Vec<String>,
}

impl Default for TrustDomains {
    fn default() -> Self {
        Self { own: "cluster.local".into(), aliases: Vec::new() }
    }
}

impl TrustDomains {
    /// Aliases that are no names of trust domains are left out; nobody can have one of them.
    ///
    /// # Errors
    /// The name of the trust domain, if it is none: no identity could be in it.
    pub fn new(own: impl Into<String>, aliases: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let own = own.into();
        if !is_trust_domain(&own) {
            return Err(own);
        }
        Ok(Self { own, aliases: aliases.into_iter().filter(|alias| is_trust_domain(alias)).collect() })
    }

    /// The one that is written into new certificates.
    #[must_use]
    pub fn own(&self) -> &str {
        &self.own
    }

    #[must_use]
    pub fn accepts(&self, trust_domain: &str) -> bool {
        self.own == trust_domain || self.aliases.iter().any(|alias| alias == trust_domain)
    }
}

/// Root certificates, ready to verify with. Their order is kept.
#[derive(Clone, Default)]
pub struct TrustBundle {
    certificates: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
}

/// Why something is no bundle of root certificates.
#[derive(Debug, thiserror::Error)]
pub enum TrustBundleError {
    #[error("is not PEM")]
    Pem(#[source] rustls_pki_types::pem::Error),
    #[error("holds no certificate")]
    Empty,
    #[error("certificate {number} cannot be read")]
    Certificate {
        number: usize,
        #[source]
        source: webpki::Error,
    },
}

impl TrustBundle {
    /// # Errors
    /// When that is not one certificate at least.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TrustBundleError> {
        let certificates =
            CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(TrustBundleError::Pem)?;
        Self::from_der(certificates)
    }

    /// # Errors
    /// When that is not one certificate at least.
    pub fn from_der(certificates: Vec<CertificateDer<'static>>) -> Result<Self, TrustBundleError> {
        if certificates.is_empty() {
            return Err(TrustBundleError::Empty);
        }
        let mut bundle = Self::default();
        for (index, certificate) in certificates.into_iter().enumerate() {
            if bundle.certificates.contains(&certificate) {
                continue;
            }
            let anchor = webpki::anchor_from_trusted_cert(&certificate)
                .map_err(|source| TrustBundleError::Certificate { number: index + 1, source })?
                .to_owned();
            bundle.certificates.push(certificate);
            bundle.anchors.push(anchor);
        }
        Ok(bundle)
    }

    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    #[must_use]
    pub fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// This bundle, and behind it what only the other has.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let mut joined = self.clone();
        for (certificate, anchor) in other.certificates.iter().zip(&other.anchors) {
            if !joined.certificates.contains(certificate) {
                joined.certificates.push(certificate.clone());
                joined.anchors.push(anchor.clone());
            }
        }
        joined
    }

    /// True if everything here is there as well.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.certificates.iter().all(|certificate| other.certificates.contains(certificate))
    }
}

impl fmt::Debug for TrustBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustBundle({} certificates)", self.certificates.len())
    }
}
