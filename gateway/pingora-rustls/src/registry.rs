//! Client configurations of ours, by token. A token travels as the peer's server name through pingora, which also
//! makes it part of the connection pool's key: a rotated configuration gets a new token and so never reuses a
//! connection of the old one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use rustls::ClientConfig;
use rustls_pki_types::ServerName;

/// Names under `.invalid` (RFC 6761) belong to nobody, so no real upstream can be taken for a token.
const SUFFIX: &str = ".mesh-tls.invalid";

static NEXT: AtomicU64 = AtomicU64::new(1);
static CONFIGS: LazyLock<RwLock<HashMap<u64, Chosen>>> = LazyLock::new(RwLock::default);

/// What a token stands for.
#[derive(Clone)]
pub(crate) struct Chosen {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) server_name: ServerName<'static>,
}

/// A registered configuration; dropping it takes the entry away. Connections already made are not touched.
#[derive(Debug)]
pub struct Token(u64);

impl Token {
    /// Registers `config`, to be used with `server_name` as SNI and for verification.
    pub fn register(config: Arc<ClientConfig>, server_name: ServerName<'static>) -> Self {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        // A poisoned map is still whole: nothing that can panic runs while it is held.
        let mut configs = CONFIGS.write().unwrap_or_else(PoisonError::into_inner);
        configs.insert(id, Chosen { config, server_name });
        Self(id)
    }

    /// The text to set as the peer's server name.
    pub fn server_name(&self) -> String {
        format!("{:016x}{SUFFIX}", self.0)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        CONFIGS.write().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

pub(crate) fn lookup(name: &ServerName<'_>) -> Option<Chosen> {
    let ServerName::DnsName(name) = name else { return None };
    let id = name.as_ref().strip_suffix(SUFFIX).filter(|id| id.len() == 16)?;
    let id = u64::from_str_radix(id, 16).ok()?;
    CONFIGS.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Arc<ClientConfig> {
        crate::install_default_crypto_provider();
        Arc::new(ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
    }

    #[test]
    fn a_token_stands_for_its_configuration_until_it_is_dropped() {
        let real = ServerName::try_from("reviews.test").unwrap();
        let token = Token::register(config(), real.clone());
        let name = ServerName::try_from(token.server_name()).unwrap();
        assert_eq!(lookup(&name).unwrap().server_name, real);
        drop(token);
        assert!(lookup(&name).is_none());
    }

    #[test]
    fn other_names_are_not_tokens() {
        for name in ["reviews.test", "1.mesh-tls.invalid", "zzzzzzzzzzzzzzzz.mesh-tls.invalid"] {
            assert!(lookup(&ServerName::try_from(name).unwrap()).is_none(), "{name}");
        }
    }
}
