//! Private keys of an authority in every form that tools write them: RSA, P-256, P-384 and Ed25519, as PKCS#8, PKCS#1 or
//! SEC 1. Makes them usable where certificates are built.

use std::fmt;
use std::sync::Arc;

use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey, SubjectPublicKeyInfo};
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls_pki_types::PrivateKeyDer;

/// A key that signs certificates. Never printed.
#[derive(Clone)]
pub(super) struct AuthorityKey {
    key: Arc<dyn rustls::sign::SigningKey>,
    public: SubjectPublicKeyInfo,
    scheme: SignatureScheme,
}

/// The key is of no kind that can sign here.
#[derive(Debug, thiserror::Error)]
#[error("is no private key of RSA with 2048 to 4096 bits, P-256, P-384 or Ed25519")]
pub(super) struct UnusableKey;

impl AuthorityKey {
    pub(super) fn new(key: &PrivateKeyDer<'_>) -> Result<Self, UnusableKey> {
        let key = any_supported_type(key).map_err(|_| UnusableKey)?;
        let public = key.public_key().ok_or(UnusableKey)?;
        let public = SubjectPublicKeyInfo::from_der(&public).map_err(|_| UnusableKey)?;
        let algorithm = public.algorithm();
        let scheme = if *algorithm == rcgen::PKCS_ECDSA_P256_SHA256 {
            SignatureScheme::ECDSA_NISTP256_SHA256
        } else if *algorithm == rcgen::PKCS_ECDSA_P384_SHA384 {
            SignatureScheme::ECDSA_NISTP384_SHA384
        } else if *algorithm == rcgen::PKCS_ED25519 {
            SignatureScheme::ED25519
        } else if *algorithm == rcgen::PKCS_RSA_SHA256 {
            SignatureScheme::RSA_PKCS1_SHA256
        } else {
            return Err(UnusableKey);
        };
        Ok(Self { key, public, scheme })
    }

    /// True if that is the public half, as a certificate holds it.
    pub(super) fn matches(&self, subject_public_key: &[u8]) -> bool {
        self.public.der_bytes() == subject_public_key
    }
}

impl PublicKeyData for AuthorityKey {
    fn der_bytes(&self) -> &[u8] {
        self.public.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.public.algorithm()
    }
}

impl SigningKey for AuthorityKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signer = self.key.choose_scheme(&[self.scheme]).ok_or(rcgen::Error::UnsupportedSignatureAlgorithm)?;
        signer.sign(message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

impl fmt::Debug for AuthorityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthorityKey({:?}, ..)", self.scheme)
    }
}
