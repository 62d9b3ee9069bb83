//! Private keys and certificate requests. A key is made in this process, never leaves it, and is overwritten when it
//! goes (docs/security.md, T-9).

use std::fmt;
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::sign::SigningKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroize as _;

/// Why a request for a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("making a private key")]
    Generate(#[source] rcgen::Error),
    #[error("making a certificate request")]
    Request(#[source] rcgen::Error),
    #[error("using the private key")]
    Use(#[source] rustls::Error),
}

/// A P-256 key for one certificate.
pub(crate) struct Key(KeyPair);

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub(crate) fn generate() -> Result<Self, KeyError> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(Self).map_err(KeyError::Generate)
    }

    /// A request in PEM. The authority takes the name from who asks; it is named here, where known, for those that
    /// compare the two.
    ///
    /// # Errors
    /// When the name cannot stand in a request.
    pub(crate) fn request(&self, uri: Option<&str>) -> Result<String, KeyError> {
        let mut params = CertificateParams::new(Vec::new()).map_err(KeyError::Request)?;
        params.distinguished_name = DistinguishedName::new();
        if let Some(uri) = uri {
            params.subject_alt_names.push(SanType::URI(uri.try_into().map_err(KeyError::Request)?));
        }
        let request = params.serialize_request(&self.0).map_err(KeyError::Request)?;
        request.pem().map_err(KeyError::Request)
    }

    /// The key as TLS uses it. The provider keeps a form of its own, which it does not overwrite.
    ///
    /// # Errors
    /// When the provider does not take it.
    pub(crate) fn signing(&self) -> Result<Arc<dyn SigningKey>, KeyError> {
        let mut der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.0.serialized_der().to_vec()));
        let signing = any_ecdsa_type(&der).map_err(KeyError::Use);
        der.zeroize();
        signing
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<private key>")
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::certification_request::X509CertificationRequest;
    use x509_parser::pem::parse_x509_pem;
    use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension};

    use super::*;

    #[test]
    fn a_request_is_signed_and_names_only_the_identity() {
        let key = Key::generate().unwrap();
        let pem = key.request(Some("spiffe://cluster.local/ns/a/sa/b")).unwrap();
        let (_, block) = parse_x509_pem(pem.as_bytes()).unwrap();
        let (_, request) = X509CertificationRequest::from_der(&block.contents).unwrap();
        request.verify_signature().unwrap();
        assert_eq!(request.certification_request_info.subject.to_string(), "");
        let names: Vec<_> = request
            .requested_extensions()
            .unwrap()
            .filter_map(|extension| match extension {
                ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(names, [&GeneralName::URI("spiffe://cluster.local/ns/a/sa/b")]);
        assert!(key.request(None).is_ok());
        assert!(key.signing().is_ok());
        assert_eq!(format!("{key:?}"), "<private key>");
    }
}
