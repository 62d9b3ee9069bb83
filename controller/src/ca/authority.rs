//! The signing authority as everything else sees it: signs with what is in force, and says which roots the mesh trusts.
//! Key and roots can be replaced while it serves; those who depend on them are told.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rcgen::PublicKeyData;
use tokio::sync::watch;

use super::bundle::KeyCertBundle;
use super::issue::{self, Serial, Validity, whole_seconds};
use super::request::{self, RequestError};
use crate::identity::{SpiffeId, TrustBundle};

/// How long certificates live.
#[derive(Clone, Debug)]
pub struct SigningPolicy {
    /// When the request does not say.
    pub default_ttl: Duration,
    pub max_ttl: Duration,
    /// How far before now a certificate begins to be valid: clocks of nodes differ.
    pub backdate: Duration,
}

impl Default for SigningPolicy {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { default_ttl: day, max_ttl: day, backdate: Duration::from_secs(2 * 60) }
    }
}

/// A certificate that has just been signed.
#[derive(Clone, Debug)]
pub struct SignedCertificate {
    /// PEM: the leaf, intermediates, and last, in one text, all roots of the mesh.
    pub chain: Vec<String>,
    /// Hexadecimal, as openssl prints it.
    pub serial: String,
    pub expires: SystemTime,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("the certificate authority's own certificate has expired")]
    Expired,
    #[error("the certificate could not be signed: {0}")]
    Sign(#[from] rcgen::Error),
}

/// Signs certificates of the mesh.
pub struct Authority {
    signing: ArcSwap<KeyCertBundle>,
    trusted: Arc<ArcSwap<TrustBundle>>,
    policy: SigningPolicy,
    changes: watch::Sender<u64>,
}

impl Authority {
    #[must_use]
    pub fn new(bundle: KeyCertBundle, policy: SigningPolicy) -> Self {
        let trusted = Arc::new(ArcSwap::from_pointee(bundle.roots().clone()));
        Self { signing: ArcSwap::from_pointee(bundle), trusted, policy, changes: watch::Sender::new(0) }
    }

    /// What signs at the moment.
    #[must_use]
    pub fn bundle(&self) -> Arc<KeyCertBundle> {
        self.signing.load_full()
    }

    /// The roots that the mesh trusts, for whoever verifies; always the newest.
    #[must_use]
    pub fn trusted(&self) -> Arc<ArcSwap<TrustBundle>> {
        Arc::clone(&self.trusted)
    }

    /// All roots that the mesh trusts, in one text; during a change of roots both the old and the new.
    #[must_use]
    pub fn roots_pem(&self) -> String {
        self.trusted.load().certificates().iter().map(|root| pem(root)).collect()
    }

    /// Moves with each change of what signs or is trusted.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    #[must_use]
    pub fn policy(&self) -> &SigningPolicy {
        &self.policy
    }

    /// Trusts these roots as well from now on, before anything is signed by them.
    pub fn announce(&self, roots: &TrustBundle) {
        let joined = roots.joined(&self.trusted.load());
        self.trusted.store(Arc::new(joined));
        self.changed();
    }

    /// Signs with this bundle from now on. What was trusted stays so, as certificates of it are in use.
    pub fn replace(&self, bundle: KeyCertBundle) {
        let joined = bundle.roots().joined(&self.trusted.load());
        // Trust first: nobody may meet a certificate of a root that is not there yet.
        self.trusted.store(Arc::new(joined));
        self.signing.store(Arc::new(bundle));
        self.changed();
    }

    /// No longer trusts roots that are not the signing bundle's.
    pub fn forget_other_roots(&self) {
        self.trusted.store(Arc::new(self.signing.load().roots().clone()));
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Signs the public key of a request for an identity that the sender has proven. `wanted` is how long it asks the
    /// certificate to live.
    ///
    /// # Errors
    /// When the request is not in order or the authority has expired.
    pub fn sign(
        &self,
        csr: &str,
        identity: &SpiffeId,
        wanted: Option<Duration>,
        now: SystemTime,
    ) -> Result<SignedCertificate, SignError> {
        self.sign_begun(csr, identity, wanted, None, now)
    }

    /// The same for an identity that was proven by a certificate: `begun` is when it was last proven by a token, and stays
    /// in each certificate that is issued for another one.
    ///
    /// # Errors
    /// When the request is not in order or the authority has expired.
    pub fn renew(
        &self,
        csr: &str,
        identity: &SpiffeId,
        wanted: Option<Duration>,
        begun: SystemTime,
        now: SystemTime,
    ) -> Result<SignedCertificate, SignError> {
        self.sign_begun(csr, identity, wanted, Some(begun), now)
    }

    fn sign_begun(
        &self,
        csr: &str,
        identity: &SpiffeId,
        wanted: Option<Duration>,
        begun: Option<SystemTime>,
        now: SystemTime,
    ) -> Result<SignedCertificate, SignError> {
        let key = request::public_key(csr)?;
        let bundle = self.signing.load();
        let validity = self.validity(&bundle, wanted, now)?;
        let serial = Serial::random()?;
        let leaf = issue::workload(&bundle.issuer, &key, request::is_rsa(&key), identity, serial, validity, begun)?;
        let mut chain = vec![leaf.pem()];
        chain.extend(bundle.intermediates().iter().map(|it| pem(it)));
        chain.push(self.roots_pem());
        Ok(SignedCertificate { chain, serial: serial.hex(), expires: validity.not_after })
    }

    /// A certificate for one of our own servers; DER, the leaf first, without the root.
    pub(crate) fn sign_server(
        &self,
        key: &impl PublicKeyData,
        names: &[String],
        now: SystemTime,
    ) -> Result<(Vec<rustls_pki_types::CertificateDer<'static>>, SystemTime), SignError> {
        let bundle = self.signing.load();
        let validity = self.validity(&bundle, None, now)?;
        let leaf = issue::server(&bundle.issuer, key, names, Serial::random()?, validity)?;
        let mut chain = vec![leaf.der().clone()];
        chain.extend(bundle.intermediates().iter().cloned());
        Ok((chain, validity.not_after))
    }

    fn validity(
        &self,
        bundle: &KeyCertBundle,
        wanted: Option<Duration>,
        now: SystemTime,
    ) -> Result<Validity, SignError> {
        let now = whole_seconds(now);
        let ttl = wanted.unwrap_or(self.policy.default_ttl).min(self.policy.max_ttl);
        let not_after = (now + ttl).min(bundle.expires());
        if not_after <= now {
            return Err(SignError::Expired);
        }
        Ok(Validity { not_before: now - self.policy.backdate, not_after })
    }
}

fn pem(certificate: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("CERTIFICATE", certificate), config)
}
