//! Reading PEM: is this a certificate chain, is that a key, and do they belong together. Nothing cryptographic is
//! computed; a signature that does not fit is found by the proxy, which then keeps its previous certificate, too.

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::der_parser::ber::BerObjectContent;
use x509_parser::der_parser::der::{DerObject, parse_der};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// Why PEM cannot be used. Says nothing of a key's content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PemError {
    #[error("the certificate is not text")]
    CertificateNotText,
    #[error("the certificate has no PEM block CERTIFICATE")]
    NoCertificate,
    #[error("certificate {position} of the chain cannot be read: {error}")]
    BadCertificate { position: usize, error: String },
    #[error("the private key is not text")]
    KeyNotText,
    #[error("the private key has no PEM block PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY")]
    NoKey,
    #[error("the private key is encrypted; it must be in the clear")]
    EncryptedKey,
    #[error("the private key cannot be read")]
    BadKey,
    #[error("certificate and private key do not belong together")]
    Mismatch,
}

/// A chain that can be read, leaf first.
pub(crate) struct Chain {
    pub(crate) text: String,
    leaf: CertificateDer<'static>,
}

/// A key that can be read.
pub(crate) struct Key {
    pub(crate) text: String,
    der: PrivateKeyDer<'static>,
}

pub(crate) fn certificates(bytes: &[u8]) -> Result<Chain, PemError> {
    let text = std::str::from_utf8(bytes).map_err(|_| PemError::CertificateNotText)?;
    let mut leaf = None;
    for (index, certificate) in CertificateDer::pem_slice_iter(bytes).enumerate() {
        let bad = |error: String| PemError::BadCertificate { position: index + 1, error };
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        // The parser's own words are about its grammar and help nobody.
        let (rest, _) =
            X509Certificate::from_der(&certificate).map_err(|_| bad("it is not an X.509 certificate".to_owned()))?;
        if !rest.is_empty() {
            return Err(bad("bytes follow it".to_owned()));
        }
        leaf.get_or_insert(certificate);
    }
    let leaf = leaf.ok_or(PemError::NoCertificate)?;
    Ok(Chain { text: text.to_owned(), leaf })
}

pub(crate) fn private_key(bytes: &[u8]) -> Result<Key, PemError> {
    let text = std::str::from_utf8(bytes).map_err(|_| PemError::KeyNotText)?;
    if text.contains("ENCRYPTED") {
        return Err(PemError::EncryptedKey);
    }
    let der = PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        rustls_pki_types::pem::Error::NoItemsFound => PemError::NoKey,
        _ => PemError::BadKey,
    })?;
    // Every form is a DER sequence; what is in it shows when it is compared.
    let (rest, _) = parse_der(der.secret_der()).map_err(|_| PemError::BadKey)?;
    if rest.is_empty() { Ok(Key { text: text.to_owned(), der }) } else { Err(PemError::BadKey) }
}

/// Compares the public halves, where the key's form tells its own: always for RSA, usually for EC.
pub(crate) fn check_pair(chain: &Chain, key: &Key) -> Result<(), PemError> {
    let (_, certificate) = X509Certificate::from_der(&chain.leaf)
        .map_err(|error| PemError::BadCertificate { position: 1, error: error.to_string() })?;
    let public = certificate.public_key().parsed();
    let Some(own) = public_half(&key.der) else { return Ok(()) };
    let same = match (&own, public) {
        (PublicHalf::Rsa(modulus), Ok(PublicKey::RSA(rsa))) => strip(modulus) == strip(rsa.modulus),
        (PublicHalf::Ec(point), Ok(PublicKey::EC(other))) => point.as_slice() == other.data(),
        (PublicHalf::Rsa(_) | PublicHalf::Ec(_), Ok(_)) => false,
        (PublicHalf::Rsa(_) | PublicHalf::Ec(_), Err(_)) => true,
    };
    if same { Ok(()) } else { Err(PemError::Mismatch) }
}

enum PublicHalf {
    Rsa(Vec<u8>),
    Ec(Vec<u8>),
}

fn public_half(key: &PrivateKeyDer<'_>) -> Option<PublicHalf> {
    match key {
        PrivateKeyDer::Pkcs1(der) => rsa(der.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(der) => ec(der.secret_sec1_der()),
        PrivateKeyDer::Pkcs8(der) => {
            // version, algorithm, key in an octet string
            let (_, outer) = parse_der(der.secret_pkcs8_der()).ok()?;
            let inner = items(&outer)?.get(2)?.as_slice().ok()?;
            // An RSA key begins with version and modulus, an EC key with version and an octet string.
            rsa(inner).or_else(|| ec(inner))
        }
        _ => None,
    }
}

fn rsa(der: &[u8]) -> Option<PublicHalf> {
    let (_, key) = parse_der(der).ok()?;
    match &items(&key)?.get(1)?.content {
        BerObjectContent::Integer(modulus) => Some(PublicHalf::Rsa(modulus.to_vec())),
        _ => None,
    }
}

/// The public key of an EC key is optional and stands in context tag 1.
fn ec(der: &[u8]) -> Option<PublicHalf> {
    let (_, key) = parse_der(der).ok()?;
    let tagged = items(&key)?.iter().find(|item| item.header.tag().0 == 1 && item.header.is_contextspecific())?;
    let inner = tagged.as_slice().ok()?;
    let (_, bits) = parse_der(inner).ok()?;
    match &bits.content {
        BerObjectContent::BitString(_, bits) => Some(PublicHalf::Ec(bits.data.to_vec())),
        _ => None,
    }
}

fn items<'a, 'b>(object: &'a DerObject<'b>) -> Option<&'a Vec<DerObject<'b>>> {
    object.as_sequence().ok()
}

/// Integers carry a leading zero where their first bit is set.
fn strip(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
