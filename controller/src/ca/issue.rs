//! What certificates of the mesh look like: everything in them is written here, nothing is taken from a request but the
//! key. Shaped as Istio's (docs/semantics.md §15.9).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls::crypto::SecureRandom;
use time::OffsetDateTime;

use super::key::AuthorityKey;
use crate::identity::{SpiffeId, chain};

/// From when until when, in whole seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

/// A number that nobody can guess and no two certificates share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Serial([u8; 16]);

impl Serial {
    pub(super) fn random() -> Result<Self, rcgen::Error> {
        let mut bytes = [0; 16];
        let random: &dyn SecureRandom = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut bytes).map_err(|_| rcgen::Error::RingUnspecified)?;
        Ok(Self(bytes))
    }

    /// As `openssl x509 -serial` prints it, so that it can be looked for.
    pub(super) fn hex(self) -> String {
        let text: String = self.0.iter().map(|byte| format!("{byte:02X}")).collect();
        // Leading zero bytes are not part of the number.
        let start = text.len() - 2 * self.0.iter().skip_while(|byte| **byte == 0).count();
        text[start..].to_owned()
    }
}

/// For a workload: one identity and no other name, for both ends of a connection. `begun` is when the identity was last
/// proven by a token, unless that was for this certificate.
pub(super) fn workload(
    issuer: &Issuer<'_, AuthorityKey>,
    key: &impl PublicKeyData,
    is_rsa: bool,
    identity: &SpiffeId,
    serial: Serial,
    validity: Validity,
    begun: Option<SystemTime>,
) -> Result<Certificate, rcgen::Error> {
    let mut params = leaf(serial, validity);
    // Not critical: verifiers that do not know the extension ignore it.
    params.custom_extensions =
        begun.map(|begun| CustomExtension::from_oid_content(&chain::OID, chain::content(begun))).into_iter().collect();
    // No subject, so that the name extension becomes critical.
    params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into()?)];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    if is_rsa {
        params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
    }
    params.signed_by(key, issuer)
}

/// For a server of the controller: DNS names.
pub(super) fn server(
    issuer: &Issuer<'_, AuthorityKey>,
    key: &impl PublicKeyData,
    names: &[String],
    serial: Serial,
    validity: Validity,
) -> Result<Certificate, rcgen::Error> {
    let mut params = leaf(serial, validity);
    params.subject_alt_names = names
        .iter()
        .map(|name| Ok(SanType::DnsName(name.as_str().try_into()?)))
        .collect::<Result<_, rcgen::Error>>()?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.signed_by(key, issuer)
}

/// What a self-signed root consists of. As Istio's it is named after the trust domain and has no limit on its path.
pub(super) fn root(trust_domain: &str, serial: Serial, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, trust_domain);
    params.serial_number = Some(SerialNumber::from_slice(&serial.0));
    params.not_before = date(validity.not_before);
    params.not_after = date(validity.not_after);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf(serial: Serial, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(SerialNumber::from_slice(&serial.0));
    params.not_before = date(validity.not_before);
    params.not_after = date(validity.not_after);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

fn date(time: SystemTime) -> OffsetDateTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Certificates know whole seconds only.
pub(super) fn whole_seconds(time: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}
