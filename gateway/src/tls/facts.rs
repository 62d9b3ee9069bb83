//! What a certificate says about itself, for schedules and for people. Verifies nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Why bytes are no certificate.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    #[error("the certificate is not DER of X.509")]
    Certificate(#[source] x509_parser::error::X509Error),
    #[error("the certificate's names cannot be read")]
    Names(#[source] x509_parser::error::X509Error),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Hexadecimal, in pairs.
    pub serial: String,
    pub subject: String,
    /// DNS names and addresses.
    pub names: Vec<String>,
    pub uris: Vec<String>,
    pub not_before: SystemTime,
    pub not_after: SystemTime,
}

impl Facts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// When it is none.
    pub fn of(der: &[u8]) -> Result<Self, FactsError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| FactsError::Certificate(error.into()))?;
        let (mut names, mut uris) = (Vec::new(), Vec::new());
        if let Some(extension) = certificate.subject_alternative_name().map_err(FactsError::Names)? {
            for name in &extension.value.general_names {
                match name {
                    GeneralName::DNSName(name) => names.push((*name).to_owned()),
                    GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                    GeneralName::IPAddress(bytes) => names.extend(address(bytes).map(|ip| ip.to_string())),
                    _ => {}
                }
            }
        }
        let validity = certificate.validity();
        Ok(Self {
            serial: certificate.raw_serial_as_string(),
            subject: certificate.subject().to_string(),
            names,
            uris,
            not_before: at(validity.not_before.timestamp()),
            not_after: at(validity.not_after.timestamp()),
        })
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|octets| Ipv4Addr::from(octets).into()),
        _ => <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).into()),
    }
}

/// Years that a clock cannot express are as good as its ends.
fn at(timestamp: i64) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(timestamp).unwrap_or_default());
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    #[test]
    fn names_and_times_are_read() {
        let mut params = CertificateParams::new(vec!["a.test".to_owned(), "10.0.0.1".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::URI("spiffe://cluster.local/ns/a/sa/b".try_into().unwrap()));
        params.not_before = time::OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        params.not_after = time::OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        params.serial_number = Some(vec![1, 171].into());
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let facts = Facts::of(certificate.der()).unwrap();
        assert_eq!(facts.names, ["a.test", "10.0.0.1"]);
        assert_eq!(facts.uris, ["spiffe://cluster.local/ns/a/sa/b"]);
        assert_eq!(facts.serial, "01:ab");
        assert_eq!(facts.not_before, UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        assert_eq!(facts.not_after, UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        assert!(Facts::of(b"nonsense").is_err());
    }
}
