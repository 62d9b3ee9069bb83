//! Certificates and keys in PEM, checked before anyone depends on them.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::tls::files::FileError;

/// Why PEM text is not a server certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("certificate chain is not PEM")]
    Chain(#[source] rustls_pki_types::pem::Error),
    #[error("there is no certificate in the chain")]
    Empty,
    #[error("private key is not PEM")]
    Key(#[source] rustls_pki_types::pem::Error),
    #[error("certificate and key cannot be used together")]
    Pair(#[source] rustls::Error),
    #[error(transparent)]
    File(#[from] FileError),
}

/// Reads a chain and its key, and makes sure that they belong together.
pub(crate) fn certified_key(chain: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, CertificateError> {
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(CertificateError::Chain)?;
    if certificates.is_empty() {
        return Err(CertificateError::Empty);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(CertificateError::Key)?;
    CertifiedKey::from_der(certificates, key, &ring::default_provider()).map(Arc::new).map_err(CertificateError::Pair)
}

/// Offers the first certificate whose kind of key the client takes.
#[derive(Debug)]
pub(crate) struct ByKeyType(pub(crate) Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByKeyType {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        self.0.iter().find(fits).or(self.0.first()).cloned()
    }
}
