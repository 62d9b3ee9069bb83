//! Since when a certificate has been renewed by certificates: the time at which the identity was last proven by a token,
//! in an extension of our own. It is not critical: who does not know it passes it over, and certificates are Istio's
//! otherwise.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::oid_registry::Oid;
use x509_parser::prelude::X509Certificate;

/// Of the arc for experiments, 1.3.6.1.3: nothing outside the mesh reads it.
pub(crate) const OID: [u64; 8] = [1, 3, 6, 1, 3, 15012, 15017, 1];

/// The extension's value: seconds since 1970 as a DER integer.
pub(crate) fn content(begun: SystemTime) -> Vec<u8> {
    let seconds = begun.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let bytes = seconds.to_be_bytes();
    let significant = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
    let digits = &bytes[significant..];
    // A leading bit would make it negative.
    let sign: &[u8] = if digits[0] & 0x80 == 0 { &[] } else { &[0] };
    let length = u8::try_from(sign.len() + digits.len()).unwrap_or_default();
    [&[0x02, length], sign, digits].concat()
}

/// What a certificate says, if it says so in the form of [`content`].
pub(super) fn begun(certificate: &X509Certificate<'_>) -> Option<SystemTime> {
    let oid = Oid::from(&OID).ok()?;
    let extension = certificate.get_extension_unique(&oid).ok()??;
    let [0x02, length, digits @ ..] = extension.value else { return None };
    if usize::from(*length) != digits.len() || digits.is_empty() || digits.len() > 9 || digits[0] & 0x80 != 0 {
        return None;
    }
    let seconds = digits.iter().try_fold(0_u64, |sum, byte| sum.checked_mul(256)?.checked_add(u64::from(*byte)))?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_integers_of_der() {
        let content = |seconds| content(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(content(0), [2, 1, 0]);
        assert_eq!(content(127), [2, 1, 127]);
        assert_eq!(content(128), [2, 2, 0, 128]);
        assert_eq!(content(1_700_000_000), [2, 4, 0x65, 0x53, 0xf1, 0x00]);
        assert_eq!(content(4_000_000_000), [2, 5, 0, 0xee, 0x6b, 0x28, 0x00]);
    }
}
