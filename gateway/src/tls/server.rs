//! Server configurations, one per terminating server; shared for as long as nothing in them changes, so that sessions
//! can be resumed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use tracing::{debug, warn};

use crate::table::compile::chain;
use crate::tls::certificate::{ByKeyType, CertificateError, certified_key};
use crate::tls::files::{Content, Found};
use crate::tls::suites;

/// What is offered, best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The configurations of one server.
#[derive(Clone, Debug)]
pub(crate) struct ServerConfigs {
    alpn: Arc<ServerConfig>,
    plain: Arc<ServerConfig>,
}

impl ServerConfigs {
    /// For a client with that ALPN list. A list that shares nothing with ours is no error (docs/semantics.md §2.7).
    pub(crate) fn choose<'a>(&self, mut offered: impl Iterator<Item = &'a [u8]>) -> Arc<ServerConfig> {
        let shared = offered.any(|name| ALPN.contains(&name));
        Arc::clone(if shared { &self.alpn } else { &self.plain })
    }
}

/// Certificates in use, and the configurations made of them.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    known: HashMap<ir::CertificateSource, Known>,
    configs: HashMap<Recipe, ServerConfigs>,
    loads: u64,
}

#[derive(Debug)]
struct Known {
    /// Tells one content from the next.
    load: u64,
    key: Option<Arc<CertifiedKey>>,
    /// Of files: what was read.
    digest: Option<[u8; 32]>,
    /// Of files: why they cannot be used.
    problem: Option<String>,
}

/// Everything a configuration depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Recipe {
    certificates: Vec<(ir::CertificateSource, u64)>,
    versions: [bool; 2],
    cipher_suites: Vec<String>,
}

impl Certificates {
    /// Takes a secret; one that cannot be used leaves the one before in force.
    pub(crate) fn set_secret(&mut self, secret: &ir::Secret) -> Result<(), CertificateError> {
        let key = certified_key(secret.certificate_chain.as_bytes(), secret.private_key.pem().as_bytes())?;
        self.put(ir::CertificateSource::Secret(secret.name.clone()), Some(key), None, None);
        Ok(())
    }

    pub(crate) fn remove(&mut self, source: &ir::CertificateSource) {
        self.known.remove(source);
    }

    fn put(
        &mut self,
        source: ir::CertificateSource,
        key: Option<Arc<CertifiedKey>>,
        digest: Option<[u8; 32]>,
        problem: Option<String>,
    ) {
        self.loads += 1;
        self.known.insert(source, Known { load: self.loads, key, digest, problem });
    }

    /// The configurations of a server; `None` while it has no certificate that can be used.
    pub(crate) fn server_configs(&mut self, tls: &ir::ServerTls) -> Option<ServerConfigs> {
        // No `..` here: a new field in the IR stops the build until someone decides what it does.
        let ir::ServerTls { certificates, min_version, max_version, cipher_suites } = tls;
        let mut recipe = Recipe {
            certificates: Vec::new(),
            versions: [*min_version <= ir::TlsVersion::V1_2, *max_version >= ir::TlsVersion::V1_3],
            cipher_suites: cipher_suites.clone(),
        };
        let mut keys = Vec::new();
        for source in certificates {
            if let Some(Known { load, key: Some(key), .. }) = self.known.get(source) {
                keys.push(Arc::clone(key));
                recipe.certificates.push((source.clone(), *load));
            }
        }
        if keys.is_empty() {
            return None;
        }
        if let Some(configs) = self.configs.get(&recipe) {
            return Some(configs.clone());
        }
        match build(keys, *min_version, *max_version, cipher_suites) {
            Ok(configs) => {
                self.configs.insert(recipe, configs.clone());
                Some(configs)
            }
            Err(error) => {
                warn!(error = %chain(&error), "TLS settings cannot be used");
                None
            }
        }
    }

    /// Drops what no listener uses; secrets stay, they are delivered once.
    pub(crate) fn keep_only(&mut self, used: &HashSet<ir::CertificateSource>) {
        self.known.retain(|source, _| matches!(source, ir::CertificateSource::Secret(_)) || used.contains(source));
        let known = &self.known;
        self.configs.retain(|recipe, _| {
            recipe.certificates.iter().all(|(source, load)| {
                used.contains(source) && known.get(source).is_some_and(|known| known.load == *load)
            })
        });
    }

    /// Every chain that is known, by where it comes from.
    pub(crate) fn chains(&self) -> impl Iterator<Item = (ir::CertificateSource, Vec<CertificateDer<'static>>)> {
        self.known.iter().map(|(source, known)| {
            let chain = known.key.as_ref().map(|key| key.cert.clone()).unwrap_or_default();
            (source.clone(), chain)
        })
    }

    /// Takes what stands in a source's files; true if it is new and can be used.
    pub(crate) fn set_files(&mut self, found: Found) -> bool {
        let Found { source, content } = found;
        let known = self.known.get(&source);
        let result = match content {
            Ok(Content { chain, key }) => {
                let digest = digest(&chain, &key);
                if known.is_some_and(|known| known.digest == Some(digest) && known.key.is_some()) {
                    return false;
                }
                certified_key(&chain, &key).map(|key| (key, digest))
            }
            Err(error) => Err(CertificateError::File(error)),
        };
        match result {
            Ok((key, digest)) => {
                self.put(source, Some(key), Some(digest), None);
                true
            }
            // A file in the middle of being written: what was good stays.
            Err(error) if known.is_some_and(|known| known.key.is_some()) => {
                debug!(error = %chain(&error), "certificate files cannot be used now; the certificate before stays");
                false
            }
            Err(error) => {
                let problem = chain(&error);
                if known.and_then(|known| known.problem.as_ref()) != Some(&problem) {
                    warn!(error = problem, "certificate files cannot be used");
                    self.put(source, None, None, Some(problem));
                }
                false
            }
        }
    }

    /// Whether anything is known of a source, be it that it cannot be used.
    pub(crate) fn knows(&self, source: &ir::CertificateSource) -> bool {
        self.known.contains_key(source)
    }

    /// Why the files of a source cannot be used.
    pub(crate) fn problem(&self, source: &ir::CertificateSource) -> Option<&str> {
        self.known.get(source)?.problem.as_deref()
    }
}

/// Tells one content of files from another without keeping it.
fn digest(chain: &[u8], key: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(chain.len().to_be_bytes());
    digest.update(chain);
    digest.update(key);
    digest.finalize().into()
}

fn build(
    keys: Vec<Arc<CertifiedKey>>,
    min: ir::TlsVersion,
    max: ir::TlsVersion,
    cipher_suites: &[String],
) -> Result<ServerConfigs, rustls::Error> {
    let provider = Arc::new(suites::provider(cipher_suites));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&suites::versions(min, max))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ByKeyType(keys)));
    // Tickets belong to this server and certificate set alone (docs/security.md, T-4).
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    let plain = config.clone();
    config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    Ok(ServerConfigs { alpn: Arc::new(config), plain: Arc::new(plain) })
}
