//! The certificates that a controller is recognised by: a file that may change at any time.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tracing::warn;

use crate::table::compile::chain;

/// A bundle of more bytes than this is none.
const LARGEST: u64 = 1 << 20;

/// Why there are no roots.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootsError {
    #[error("reading the root certificates {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is no bundle of root certificates in PEM")]
    Pem {
        path: PathBuf,
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    #[error("{path} holds no root certificate that can be used")]
    Empty { path: PathBuf },
}

/// Reads the file anew whenever somebody is to be verified.
#[derive(Debug)]
pub(crate) struct Roots {
    path: PathBuf,
    /// The last ones that could be used.
    last: Mutex<Option<Arc<RootCertStore>>>,
}

impl Roots {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, last: Mutex::default() }
    }

    /// Those of the file, or the last ones while the file is in no state to be read.
    ///
    /// # Errors
    /// When there have never been any.
    pub(crate) fn load(&self) -> Result<Arc<RootCertStore>, RootsError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match (read(&self.path), &*last) {
            (Ok(roots), _) => {
                let roots = Arc::new(roots);
                *last = Some(Arc::clone(&roots));
                Ok(roots)
            }
            (Err(error), Some(known)) => {
                warn!(error = %chain(&error), "root certificates cannot be read; the ones before are used");
                Ok(Arc::clone(known))
            }
            (Err(error), None) => Err(error),
        }
    }
}

fn read(path: &Path) -> Result<RootCertStore, RootsError> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST).read_to_end(&mut text))
        .map_err(|source| RootsError::Read { path: path.to_owned(), source })?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|source| RootsError::Pem { path: path.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    // While roots are rotated there are several; one that nobody can use must not spoil the others.
    let (usable, _) = roots.add_parsable_certificates(certificates);
    if usable == 0 { Err(RootsError::Empty { path: path.to_owned() }) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use tempfile::TempDir;

    use super::*;

    fn root() -> String {
        CertificateParams::new(Vec::new()).unwrap().self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn a_changed_file_counts_and_a_broken_one_does_not() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("root-cert.pem");
        let roots = Roots::new(path.clone());
        assert!(matches!(roots.load(), Err(RootsError::Read { .. })));
        for (text, empty) in [("", true), ("-----BEGIN CERTIFICATE-----\n", false)] {
            std::fs::write(&path, text).unwrap();
            let error = roots.load().unwrap_err();
            assert_eq!(matches!(error, RootsError::Empty { .. }), empty, "{error:?}");
        }
        let (old, new) = (root(), root());
        std::fs::write(&path, &old).unwrap();
        let first = roots.load().unwrap();
        std::fs::write(&path, "gone").unwrap();
        assert!(Arc::ptr_eq(&first, &roots.load().unwrap()));
        std::fs::write(&path, format!("{old}{new}")).unwrap();
        assert_eq!(roots.load().unwrap().len(), 2);
    }
}
