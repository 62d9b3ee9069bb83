//! Configuration in a repository comes without its Secrets. A certificate that is not there must not end the answer at
//! the handshake: another one takes its place in the table that is asked, and the answer says that the real one is
//! missing.

use std::collections::BTreeSet;

use anyhow::Context as _;
use ir::{CertificateSource, Kind, PrivateKey, Resource, Secret, SecretName};
use time::OffsetDateTime;

use crate::demo::Certificates;

/// The delta, with a certificate of its own for every Secret that it names and does not bring.
pub(super) fn with_certificates(delta: &ir::Delta) -> anyhow::Result<ir::Delta> {
    let mut delta = delta.clone();
    let missing = missing(&delta);
    if missing.is_empty() {
        return Ok(delta);
    }
    let made = Certificates::make(&["stand-in.invalid"], OffsetDateTime::now_utc()).context("make a stand-in")?;
    for name in missing {
        let private_key = PrivateKey::from(made.key.clone());
        let secret = Secret { name, certificate_chain: made.chain.clone(), private_key };
        delta.changed.push(ir::codec::encode(&Resource::Secret(secret)));
    }
    Ok(delta)
}

fn missing(delta: &ir::Delta) -> BTreeSet<SecretName> {
    let mut named = BTreeSet::new();
    for encoded in delta.changed.iter().filter(|encoded| encoded.key.kind == Kind::Listener) {
        let Ok(Resource::Listener(listener)) = ir::codec::decode(encoded) else { continue };
        for source in listener.tls.into_iter().flat_map(|chain| chain.tls.certificates) {
            match source {
                CertificateSource::Secret(name) => drop(named.insert(name)),
                CertificateSource::Files { .. } => {}
            }
        }
    }
    for encoded in delta.changed.iter().filter(|encoded| encoded.key.kind == Kind::Secret) {
        named.remove(&SecretName::from(&*encoded.key.name));
    }
    named
}
