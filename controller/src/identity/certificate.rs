//! Client certificates of workloads: chain to a root of the mesh, valid now, made for clients, and naming exactly one
//! identity (docs/security.md, T-6). What was verified once is verified again for each stream: a connection outlives
//! certificates and roots.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::chain;
use super::spiffe::{SpiffeId, SpiffeIdError};
use super::trust::{TrustBundle, TrustDomains};

/// Most certificates that a peer may present; chains of a mesh are short, and looking for a path costs.
const MAX_CHAIN: usize = 10;

/// Checks client certificates against what the mesh trusts at that moment.
#[derive(Clone, Debug)]
pub struct CertificateVerifier {
    roots: Arc<ArcSwap<TrustBundle>>,
    trust_domains: Arc<ArcSwap<TrustDomains>>,
}

/// What a good certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCertificate {
    pub identity: SpiffeId,
    pub expires: SystemTime,
    /// When the identity was last proven by a token: as the certificate says, else when it was issued.
    pub begun: SystemTime,
}

/// Why a client certificate proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum CertificateProblem {
    #[error("there is no certificate")]
    Missing,
    #[error("the chain has more than {MAX_CHAIN} certificates")]
    ChainLength,
    #[error("the certificate cannot be read")]
    Encoding,
    #[error("the certificate has expired")]
    Expired,
    #[error("the certificate is not valid yet")]
    NotYetValid,
    #[error("the certificate was not issued by a certificate authority of this mesh")]
    UnknownIssuer,
    #[error("the certificate is one of a certificate authority, not of a workload")]
    IsAuthority,
    #[error("the certificate is not made for clients: it lacks the extended key usage clientAuth")]
    Usage,
    #[error("the certificate's chain does not hold: {0}")]
    Chain(webpki::Error),
    #[error("the certificate names {0} URIs, exactly one is needed")]
    UriCount(usize),
    #[error("the certificate's URI is not the identity of a workload: it {0}")]
    Identity(#[from] SpiffeIdError),
    #[error("the certificate's trust domain {0:?} is not one of this mesh")]
    TrustDomain(String),
}

impl CertificateVerifier {
    #[must_use]
    pub fn new(roots: Arc<ArcSwap<TrustBundle>>, trust_domains: Arc<ArcSwap<TrustDomains>>) -> Self {
        Self { roots, trust_domains }
    }

    /// The trust domain and its other names, as they are now.
    #[must_use]
    pub fn trust_domains(&self) -> Arc<TrustDomains> {
        self.trust_domains.load_full()
    }

    /// # Errors
    /// When the chain, the leaf first, does not prove an identity of this mesh.
    pub fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        now: SystemTime,
    ) -> Result<VerifiedCertificate, CertificateProblem> {
        let (leaf, intermediates) = chain.split_first().ok_or(CertificateProblem::Missing)?;
        if chain.len() > MAX_CHAIN {
            return Err(CertificateProblem::ChainLength);
        }
        let entity = EndEntityCert::try_from(leaf).map_err(|_| CertificateProblem::Encoding)?;
        let roots = self.roots.load();
        entity
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                roots.anchors(),
                intermediates,
                unix_time(now),
                KeyUsage::client_auth(),
                None,
                None,
            )
            .map_err(problem)?;
        self.identity(leaf)
    }

    fn identity(&self, leaf: &CertificateDer<'_>) -> Result<VerifiedCertificate, CertificateProblem> {
        let (rest, certificate) = X509Certificate::from_der(leaf).map_err(|_| CertificateProblem::Encoding)?;
        if !rest.is_empty() {
            return Err(CertificateProblem::Encoding);
        }
        if certificate.is_ca() {
            return Err(CertificateProblem::IsAuthority);
        }
        // The path check lets a certificate without any extended key usage pass.
        let usage = certificate.extended_key_usage().map_err(|_| CertificateProblem::Encoding)?;
        if !usage.is_some_and(|usage| usage.value.client_auth) {
            return Err(CertificateProblem::Usage);
        }
        let names = certificate.subject_alternative_name().map_err(|_| CertificateProblem::Encoding)?;
        let mut uris = Vec::new();
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::URI(uri) => uris.push(*uri),
                // Not even readable: whether it names somebody is unknown.
                GeneralName::Invalid(..) => return Err(CertificateProblem::Encoding),
                _ => {}
            }
        }
        let [uri] = uris.as_slice() else { return Err(CertificateProblem::UriCount(uris.len())) };
        let identity: SpiffeId = uri.parse()?;
        if !self.trust_domains.load().accepts(identity.trust_domain()) {
            return Err(CertificateProblem::TrustDomain(identity.trust_domain().to_owned()));
        }
        let validity = certificate.validity();
        let issued = system_time(validity.not_before.timestamp());
        // Never later than the certificate itself.
        let begun = chain::begun(&certificate).map_or(issued, |begun| begun.min(issued));
        Ok(VerifiedCertificate { identity, expires: system_time(validity.not_after.timestamp()), begun })
    }
}

fn problem(error: webpki::Error) -> CertificateProblem {
    match error {
        webpki::Error::CertExpired { .. } => CertificateProblem::Expired,
        webpki::Error::CertNotValidYet { .. } => CertificateProblem::NotYetValid,
        webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => CertificateProblem::UnknownIssuer,
        webpki::Error::CaUsedAsEndEntity => CertificateProblem::IsAuthority,
        webpki::Error::RequiredEkuNotFoundContext(_) => CertificateProblem::Usage,
        other => CertificateProblem::Chain(other),
    }
}

pub(crate) fn unix_time(now: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default())
}

pub(crate) fn system_time(timestamp: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(timestamp).unwrap_or(0))
}
