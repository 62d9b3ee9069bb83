//! PEM files as pingora-core asks for them. Our gateway hands PEM over in memory; these serve pingora's own options.

use std::path::Path;

use pingora_error::{Error, ErrorType, OrErr, Result};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

fn certificates(path: impl AsRef<Path>) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path)
        .or_err(ErrorType::FileReadError, "opening a certificate file")?
        .collect::<std::result::Result<_, _>>()
        .or_err(ErrorType::InvalidCert, "reading a certificate file")
}

/// Adds every certificate of the file at `path` to `store`.
///
/// # Errors
/// When the file cannot be read or holds a certificate that cannot be a trust anchor.
pub fn load_ca_file_into_store<P: AsRef<Path>>(path: P, store: &mut RootCertStore) -> Result<()> {
    for certificate in certificates(path)? {
        store.add(certificate).or_err(ErrorType::InvalidCert, "adding a trust anchor")?;
    }
    Ok(())
}

/// The certificate chain and private key of two files; `None` when the first holds no certificate.
///
/// # Errors
/// When a file cannot be read or parsed.
pub fn load_certs_and_key_files<'a>(
    cert: &str,
    key: &str,
) -> Result<Option<(Vec<CertificateDer<'a>>, PrivateKeyDer<'a>)>> {
    let chain = certificates(cert)?;
    let key = PrivateKeyDer::from_pem_file(key).or_err(ErrorType::InvalidCert, "reading a private key file")?;
    Ok((!chain.is_empty()).then_some((chain, key)))
}

/// DER bytes of the first certificate in the file.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub fn load_pem_file_ca(path: &String) -> Result<Vec<u8>> {
    match certificates(path)?.into_iter().next() {
        Some(first) => Ok(first.as_ref().to_vec()),
        None => Error::e_explain(ErrorType::InvalidCert, "no certificate in the file"),
    }
}

/// DER bytes of the private key in the file.
///
/// # Errors
/// When the file cannot be read or holds no private key.
pub fn load_pem_file_private_key(path: &String) -> Result<Vec<u8>> {
    PrivateKeyDer::from_pem_file(path)
        .map(|key| key.secret_der().to_vec())
        .or_err(ErrorType::InvalidCert, "reading a private key file")
}
