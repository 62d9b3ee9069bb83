//! The demo's certificate authority and server certificate: made in memory at every start. Only the root certificate
//! is ever written to disk, no key is.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// Longer than any demo runs, short enough to be worthless when found later.
const LIFETIME: Duration = Duration::days(30);
/// Clocks that are a little late must accept the certificate too.
const CLOCK_SKEW: Duration = Duration::hours(1);

#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("make the demo's certificates")]
    Make(#[from] rcgen::Error),
    #[error("write the demo's root certificate to {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// A server certificate in PEM with its key, and the root that vouches for it.
pub(crate) struct Certificates {
    pub(crate) root: String,
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Certificates {
    /// Certificates for these names.
    pub(crate) fn make(names: &[&str], now: OffsetDateTime) -> Result<Self, CertificateError> {
        let root_key = KeyPair::generate()?;
        let mut root = CertificateParams::default();
        root.distinguished_name.push(DnType::CommonName, "Sluice demo root");
        root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        root.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        root.not_before = now - CLOCK_SKEW;
        root.not_after = now + LIFETIME;
        let root_certificate = root.self_signed(&root_key)?;
        let issuer = Issuer::new(root, root_key);

        let key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
        leaf.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("localhost"));
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        leaf.not_before = now - CLOCK_SKEW;
        leaf.not_after = now + LIFETIME;
        let chain = leaf.signed_by(&key, &issuer)?.pem();

        Ok(Self { root: root_certificate.pem(), chain, key: key.serialize_pem() })
    }

    /// Puts the root where curl can be pointed at it, in one step: a reader sees the old file or the new one.
    pub(crate) fn write_root(&self, path: &Path) -> Result<(), CertificateError> {
        let write = || {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{}", std::process::id()));
            let draft = path.with_file_name(name);
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&draft)?;
            file.write_all(self.root.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, path).inspect_err(|_| {
                let _ = fs::remove_file(&draft);
            })
        };
        write().map_err(|source| CertificateError::Write { path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls_pki_types::pem::PemObject as _;
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

    use super::*;

    fn verify(certificates: &Certificates, name: &str, after: std::time::Duration) -> Result<(), rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(certificates.root.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let leaf = CertificateDer::from_pem_slice(certificates.chain.as_bytes()).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(UnixTime::now().as_secs()) + after);
        verifier.verify_server_cert(&leaf, &[], &name, &[], now).map(|_| ())
    }

    #[test]
    fn a_client_that_trusts_the_root_accepts_the_server_by_its_names_only_and_for_a_while() {
        let certificates = Certificates::make(&["shop.localhost", "127.0.0.1"], OffsetDateTime::now_utc()).unwrap();
        let zero = std::time::Duration::ZERO;
        verify(&certificates, "shop.localhost", zero).unwrap();
        verify(&certificates, "127.0.0.1", zero).unwrap();
        assert!(verify(&certificates, "evil.localhost", zero).is_err());
        assert!(verify(&certificates, "shop.localhost", std::time::Duration::from_secs(31 * 86400)).is_err());
    }

    #[test]
    fn the_root_is_readable_and_no_key_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let certificates = Certificates::make(&["shop.localhost"], OffsetDateTime::now_utc()).unwrap();
        certificates.write_root(&path).unwrap();
        certificates.write_root(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("BEGIN CERTIFICATE") && !text.contains("PRIVATE KEY"));
    }
}
