//! Reading a certificate request: its public key is taken, once the request has proven that its sender holds the private
//! half and the key is strong enough. Names, extensions and flags in it are not even looked at (docs/security.md, CP-2).

use rcgen::{PublicKeyData as _, SubjectPublicKeyInfo};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;

/// Longest request that is looked at; one with an RSA key of 8192 bits and many names stays below.
const MAX_REQUEST: usize = 64 * 1024;
const MIN_RSA_BITS: usize = 2048;
/// More bits cost us more than they protect for a day.
const MAX_RSA_BITS: usize = 8192;

/// Why a certificate request is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("the certificate request has more than {MAX_REQUEST} bytes")]
    TooLong,
    #[error("the certificate request is not PEM of the kind CERTIFICATE REQUEST")]
    Pem,
    #[error("the certificate request cannot be read")]
    Encoding,
    #[error("keys of this kind are not signed; RSA with 2048 bits or more, P-256, P-384 and Ed25519 are")]
    KeyKind,
    #[error("an RSA key of {bits} bits is not signed, it needs 2048 to 8192")]
    RsaSize { bits: usize },
    #[error("the certificate request is signed with SHA-1")]
    WeakSignature,
    #[error("the signature of the certificate request is not one of its key")]
    Signature,
}

/// The public key of a request that is in order.
pub(super) fn public_key(pem: &str) -> Result<SubjectPublicKeyInfo, RequestError> {
    if pem.len() > MAX_REQUEST {
        return Err(RequestError::TooLong);
    }
    let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).map_err(|_| RequestError::Pem)?;
    let (rest, request) = X509CertificationRequest::from_der(&der).map_err(|_| RequestError::Encoding)?;
    if !rest.is_empty() {
        return Err(RequestError::Encoding);
    }
    let info = &request.certification_request_info.subject_pki;
    let key = SubjectPublicKeyInfo::from_der(info.raw).map_err(|_| RequestError::KeyKind)?;
    if let PublicKey::RSA(rsa) = info.parsed().map_err(|_| RequestError::Encoding)? {
        let bits = bits(rsa.modulus);
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
            return Err(RequestError::RsaSize { bits });
        }
    }
    let algorithm = &request.signature_algorithm.algorithm;
    if *algorithm == OID_PKCS1_SHA1WITHRSA || *algorithm == OID_SHA1_WITH_RSA {
        return Err(RequestError::WeakSignature);
    }
    request.verify_signature().map_err(|_| RequestError::Signature)?;
    Ok(key)
}

/// True for a key whose certificates may be used to encipher keys, as TLS 1.2 clients expect of RSA.
pub(super) fn is_rsa(key: &SubjectPublicKeyInfo) -> bool {
    *key.algorithm() == rcgen::PKCS_RSA_SHA256
}

fn bits(modulus: &[u8]) -> usize {
    let start = modulus.iter().position(|byte| *byte != 0).unwrap_or(modulus.len());
    let significant = &modulus[start..];
    let leading = significant.first().map_or(0, |byte| byte.leading_zeros() as usize);
    significant.len() * 8 - leading
}
