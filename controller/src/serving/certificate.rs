//! The certificate that the controller's own servers present: signed by our authority, new at half of its life and
//! whenever the authority changes. The key is made here and never leaves.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rcgen::KeyPair;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::ca::{Authority, SignError};

/// Wait after a renewal that failed.
const RETRY: Duration = Duration::from_secs(10);

/// A serving certificate that is kept current by [`Serving::keep_current`].
pub struct Serving {
    authority: Arc<Authority>,
    names: Vec<String>,
    current: ArcSwap<Current>,
}

struct Current {
    key: Arc<CertifiedKey>,
    issued: SystemTime,
    expires: SystemTime,
}

/// Why there is no serving certificate.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    #[error("no certificate for {names}: {source}")]
    Sign { names: String, source: SignError },
    #[error("no key for a serving certificate: {0}")]
    Key(rcgen::Error),
    #[error("the serving certificate cannot be used: {0}")]
    Tls(rustls::Error),
}

impl Serving {
    /// For a server that is reached by these DNS names.
    ///
    /// # Errors
    /// When no certificate can be had.
    pub fn new(authority: Arc<Authority>, names: Vec<String>, now: SystemTime) -> Result<Arc<Self>, ServingError> {
        let current = ArcSwap::from_pointee(issue(&authority, &names, now)?);
        Ok(Arc::new(Self { authority, names, current }))
    }

    /// When the certificate in use ends.
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        self.current.load().expires
    }

    /// # Errors
    /// When no new certificate can be had; the one in use stays.
    pub fn renew(&self, now: SystemTime) -> Result<(), ServingError> {
        self.current.store(Arc::new(issue(&self.authority, &self.names, now)?));
        Ok(())
    }

    /// Renews in time until told to stop.
    pub async fn keep_current(self: Arc<Self>, stop: CancellationToken) {
        let mut changes = self.authority.changes();
        loop {
            let wait = {
                let current = self.current.load();
                renewal(current.issued, current.expires, fastrand::f64())
                    .duration_since(SystemTime::now())
                    .unwrap_or_default()
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                changed = changes.changed() => if changed.is_err() { return },
            }
            match self.renew(SystemTime::now()) {
                Ok(()) => info!(names = self.names.join(","), "serving certificate renewed"),
                Err(error) => {
                    warn!(%error, "serving certificate not renewed; the one before stays in use");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(RETRY) => {}
                    }
                }
            }
        }
    }
}

/// Half of the life, give or take a tenth, so that not everything is renewed at the same time (docs/security.md, R-7).
fn renewal(issued: SystemTime, expires: SystemTime, random: f64) -> SystemTime {
    let life = expires.duration_since(issued).unwrap_or_default();
    issued + life.mul_f64(0.45 + 0.1 * random.clamp(0.0, 1.0))
}

fn issue(authority: &Authority, names: &[String], now: SystemTime) -> Result<Current, ServingError> {
    let key = KeyPair::generate().map_err(ServingError::Key)?;
    let (chain, expires) = authority
        .sign_server(&key, names, now)
        .map_err(|source| ServingError::Sign { names: names.join(", "), source })?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key =
        CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()).map_err(ServingError::Tls)?;
    Ok(Current { key: Arc::new(key), issued: now, expires })
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Whatever name a client asks for: it finds its name in the certificate, or goes.
        Some(Arc::clone(&self.current.load().key))
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("names", &self.names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_is_at_half_of_the_life_give_or_take_a_tenth() {
        let issued = SystemTime::UNIX_EPOCH;
        let expires = issued + Duration::from_secs(1_000);
        let at = |random| renewal(issued, expires, random).duration_since(issued).unwrap().as_secs();
        assert_eq!((at(0.0), at(0.5), at(1.0)), (450, 500, 550));
    }
}
