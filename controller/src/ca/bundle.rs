//! The key of an authority, the certificates between it and the roots, and the roots; Istio's four files. Everything that
//! can be wrong with them is found out before the first certificate is signed, and said in words.

use std::fmt;
use std::time::{Duration, SystemTime};

use rcgen::{Issuer, KeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::issue::{self, Serial, Validity, whole_seconds};
use super::key::AuthorityKey;
use crate::identity::{SpiffeId, TrustBundle};
use crate::identity::{system_time, unix_time};

/// Life of a root that we make.
const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// Clocks of nodes differ.
const BACKDATE: Duration = Duration::from_secs(5 * 60);
/// Most certificates between a leaf and its root.
const MAX_INTERMEDIATES: usize = 8;

/// The content of `cacerts` or `istio-ca-secret`.
#[derive(Clone, Default)]
pub struct CaFiles {
    pub ca_cert: Vec<u8>,
    pub ca_key: Vec<u8>,
    /// May hold several roots. Empty: the certificate is its own root.
    pub root_cert: Vec<u8>,
    /// May be empty, when a root has signed the certificate.
    pub cert_chain: Vec<u8>,
}

/// One of the files, by the name of its key in the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaFile {
    CaCert,
    CaKey,
    RootCert,
    CertChain,
}

impl CaFile {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CaCert => "ca-cert.pem",
            Self::CaKey => "ca-key.pem",
            Self::RootCert => "root-cert.pem",
            Self::CertChain => "cert-chain.pem",
        }
    }
}

impl fmt::Display for CaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why an authority cannot be made of some files.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("{0} is missing or empty")]
    Missing(CaFile),
    #[error("{0} is not PEM")]
    Pem(CaFile),
    #[error("{0} holds no certificate")]
    NoCertificate(CaFile),
    #[error("{file}: certificate {number} cannot be read")]
    Certificate { file: CaFile, number: usize },
    #[error("ca-key.pem is encrypted; it must be there in clear")]
    EncryptedKey,
    #[error("ca-key.pem {0}")]
    Key(String),
    #[error("ca-key.pem is not the key of the certificate in ca-cert.pem")]
    KeyMismatch,
    #[error("the certificate in ca-cert.pem is not one of a certificate authority (basicConstraints CA:TRUE)")]
    NotAuthority,
    #[error("the certificate in ca-cert.pem may not sign certificates (key usage keyCertSign)")]
    MayNotSign,
    #[error("{file}: the certificate of {subject} has expired")]
    Expired { file: CaFile, subject: String },
    #[error("{file}: the certificate of {subject} is not valid yet")]
    NotYetValid { file: CaFile, subject: String },
    #[error(
        "the subject of ca-cert.pem has an attribute twice or several in one part, which cannot be written as issuer"
    )]
    Subject,
    #[error("root-cert.pem cannot be used: {0}")]
    Roots(String),
    #[error("certificates of ca-cert.pem do not lead to a root in root-cert.pem: {0}")]
    Chain(webpki::Error),
    #[error("certificates cannot be signed: {0}")]
    Sign(#[from] rcgen::Error),
}

/// An authority that has been found to work.
pub struct KeyCertBundle {
    pub(super) issuer: Issuer<'static, AuthorityKey>,
    certificate: CertificateDer<'static>,
    /// From the authority's own certificate towards the root, without the root.
    intermediates: Vec<CertificateDer<'static>>,
    roots: TrustBundle,
    expires: SystemTime,
    root_expires: SystemTime,
}

impl KeyCertBundle {
    /// A new authority that is its own root, and the files to keep it in.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn self_signed(trust_domain: &str, now: SystemTime) -> Result<(Self, CaFiles), BundleError> {
        let key = KeyPair::generate()?;
        let now = whole_seconds(now);
        let validity = Validity { not_before: now - BACKDATE, not_after: now + ROOT_LIFE };
        let certificate = issue::root(trust_domain, Serial::random()?, validity).self_signed(&key)?.pem();
        let files = CaFiles {
            ca_cert: certificate.clone().into_bytes(),
            ca_key: key.serialize_pem().into_bytes(),
            root_cert: certificate.into_bytes(),
            cert_chain: Vec::new(),
        };
        Ok((Self::from_pem(&files, now)?, files))
    }

    /// # Errors
    /// When the files do not make an authority whose certificates would hold now.
    pub fn from_pem(files: &CaFiles, now: SystemTime) -> Result<Self, BundleError> {
        let mut own = certificates(CaFile::CaCert, &files.ca_cert)?;
        if own.is_empty() {
            return Err(BundleError::NoCertificate(CaFile::CaCert));
        }
        let certificate = own.remove(0);
        let roots = if files.root_cert.iter().all(u8::is_ascii_whitespace) {
            vec![certificate.clone()]
        } else {
            certificates(CaFile::RootCert, &files.root_cert)?
        };
        let roots = TrustBundle::from_der(roots).map_err(|error| BundleError::Roots(error.to_string()))?;
        let key = key(&files.ca_key)?;
        let parsed = parse(CaFile::CaCert, 1, &certificate)?;
        check_authority(&parsed, &key, now)?;

        let mut others = own;
        others.extend(certificates(CaFile::CertChain, &files.cert_chain)?);
        let path = path(&certificate, &others, &roots)?;
        for (number, link) in path.intermediates.iter().enumerate().skip(1) {
            check_time(CaFile::CertChain, &parse(CaFile::CertChain, number, link)?, now)?;
        }
        let mut expires = path.root_expires;
        for link in &path.intermediates {
            expires = expires.min(system_time(parse(CaFile::CertChain, 0, link)?.validity().not_after.timestamp()));
        }
        if path.root_expires <= now {
            return Err(BundleError::Expired { file: CaFile::RootCert, subject: path.root_subject });
        }
        let issuer = issuer(&certificate, &parsed, key)?;
        let Path { intermediates, root_expires, .. } = path;
        let bundle = Self { issuer, certificate: certificate.clone(), intermediates, roots, expires, root_expires };
        bundle.probe(&parsed, now)?;
        Ok(bundle)
    }

    /// Signs a certificate for nobody and checks it as everybody will.
    fn probe(&self, parsed: &X509Certificate<'_>, now: SystemTime) -> Result<(), BundleError> {
        let key = KeyPair::generate()?;
        let identity = SpiffeId::new("probe", "probe", "probe").map_err(|_| BundleError::Subject)?;
        let validity = Validity { not_before: now - Duration::from_secs(60), not_after: now + Duration::from_secs(60) };
        let leaf = issue::workload(&self.issuer, &key, false, &identity, Serial::random()?, validity, None)?;
        let (_, written) = X509Certificate::from_der(leaf.der()).map_err(|_| BundleError::Subject)?;
        if written.issuer().as_raw() != parsed.subject().as_raw() {
            return Err(BundleError::Subject);
        }
        let entity = EndEntityCert::try_from(leaf.der()).map_err(BundleError::Chain)?;
        for usage in [KeyUsage::client_auth(), KeyUsage::server_auth()] {
            entity
                .verify_for_usage(
                    webpki::ALL_VERIFICATION_ALGS,
                    self.roots.anchors(),
                    &self.intermediates,
                    unix_time(now),
                    usage,
                    None,
                    None,
                )
                .map_err(BundleError::Chain)?;
        }
        Ok(())
    }

    /// True if both sign with the same certificate, behind the same chain, for the same roots.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.certificate == other.certificate
            && self.intermediates == other.intermediates
            && self.roots.certificates() == other.roots.certificates()
    }

    /// When the first certificate on the way to the root ends; nothing is valid for longer.
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    #[must_use]
    pub fn root_expires(&self) -> SystemTime {
        self.root_expires
    }

    /// What goes out behind a leaf, without the root.
    #[must_use]
    pub fn intermediates(&self) -> &[CertificateDer<'static>] {
        &self.intermediates
    }

    #[must_use]
    pub fn roots(&self) -> &TrustBundle {
        &self.roots
    }
}

impl fmt::Debug for KeyCertBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCertBundle")
            .field("issuer", &self.issuer)
            .field("intermediates", &self.intermediates.len())
            .field("roots", &self.roots)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CaFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CaFiles(..)")
    }
}

fn certificates(file: CaFile, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BundleError> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| BundleError::Pem(file))
}

fn key(pem: &[u8]) -> Result<AuthorityKey, BundleError> {
    if pem.iter().all(u8::is_ascii_whitespace) {
        return Err(BundleError::Missing(CaFile::CaKey));
    }
    let is_encrypted = |mark: &[u8]| pem.windows(mark.len()).any(|part| part == mark);
    if is_encrypted(b"BEGIN ENCRYPTED PRIVATE KEY") || is_encrypted(b"Proc-Type: 4,ENCRYPTED") {
        return Err(BundleError::EncryptedKey);
    }
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| BundleError::Pem(CaFile::CaKey))?;
    AuthorityKey::new(&key).map_err(|error| BundleError::Key(error.to_string()))
}

fn parse<'c>(
    file: CaFile,
    number: usize,
    certificate: &'c CertificateDer<'_>,
) -> Result<X509Certificate<'c>, BundleError> {
    match X509Certificate::from_der(certificate) {
        Ok(([], parsed)) => Ok(parsed),
        _ => Err(BundleError::Certificate { file, number }),
    }
}

fn check_authority(certificate: &X509Certificate<'_>, key: &AuthorityKey, now: SystemTime) -> Result<(), BundleError> {
    if !key.matches(&certificate.public_key().subject_public_key.data) {
        return Err(BundleError::KeyMismatch);
    }
    if !certificate.is_ca() {
        return Err(BundleError::NotAuthority);
    }
    let unreadable = |_| BundleError::Certificate { file: CaFile::CaCert, number: 1 };
    if certificate.key_usage().map_err(unreadable)?.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return Err(BundleError::MayNotSign);
    }
    check_time(CaFile::CaCert, certificate, now)
}

fn check_time(file: CaFile, certificate: &X509Certificate<'_>, now: SystemTime) -> Result<(), BundleError> {
    let validity = certificate.validity();
    let subject = || certificate.subject().to_string();
    if system_time(validity.not_after.timestamp()) <= now {
        return Err(BundleError::Expired { file, subject: subject() });
    }
    if system_time(validity.not_before.timestamp()) > now {
        return Err(BundleError::NotYetValid { file, subject: subject() });
    }
    Ok(())
}

/// The way from the authority's certificate to a root.
struct Path {
    intermediates: Vec<CertificateDer<'static>>,
    root_expires: SystemTime,
    root_subject: String,
}

/// Follows issuers by name. Whether the signatures hold is found out by verifying a certificate.
fn path(
    certificate: &CertificateDer<'static>,
    others: &[CertificateDer<'static>],
    roots: &TrustBundle,
) -> Result<Path, BundleError> {
    let is_root = |it: &CertificateDer<'_>| roots.certificates().iter().any(|root| root == it);
    let mut intermediates = Vec::new();
    let mut last = certificate.clone();
    if !is_root(&last) {
        loop {
            intermediates.push(last.clone());
            let parsed = parse(CaFile::CertChain, intermediates.len(), &last)?;
            let wanted = parsed.issuer().as_raw();
            if root_named(roots, wanted)?.is_some() || intermediates.len() == MAX_INTERMEDIATES {
                break;
            }
            let mut next = None;
            for (index, other) in others.iter().enumerate() {
                let is_wanted = parse(CaFile::CertChain, index + 1, other)?.subject().as_raw() == wanted;
                if is_wanted && !intermediates.contains(other) {
                    next = Some(other.clone());
                    break;
                }
            }
            match next {
                Some(next) => last = next,
                None => return Err(BundleError::Chain(webpki::Error::UnknownIssuer)),
            }
        }
    }
    let end = parse(CaFile::CaCert, 1, intermediates.last().unwrap_or(certificate))?;
    let name = if intermediates.is_empty() { end.subject() } else { end.issuer() };
    let root = root_named(roots, name.as_raw())?.ok_or(BundleError::Chain(webpki::Error::UnknownIssuer))?;
    Ok(Path { root_expires: root, root_subject: name.to_string(), intermediates: intermediates.clone() })
}

/// When the last root of that name expires.
fn root_named(roots: &TrustBundle, name: &[u8]) -> Result<Option<SystemTime>, BundleError> {
    let mut latest = None;
    for (index, root) in roots.certificates().iter().enumerate() {
        let parsed = parse(CaFile::RootCert, index + 1, root)?;
        if parsed.subject().as_raw() == name {
            latest = latest.max(Some(system_time(parsed.validity().not_after.timestamp())));
        }
    }
    Ok(latest)
}

fn issuer(
    certificate: &CertificateDer<'static>,
    parsed: &X509Certificate<'_>,
    key: AuthorityKey,
) -> Result<Issuer<'static, AuthorityKey>, BundleError> {
    // An empty part of a name would be a panic below.
    if parsed.subject().iter_rdn().any(|part| part.iter().next().is_none()) {
        return Err(BundleError::Subject);
    }
    Issuer::from_ca_cert_der(certificate, key).map_err(|_| BundleError::Subject)
}
