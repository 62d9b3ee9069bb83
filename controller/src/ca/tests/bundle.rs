//! Every way in which plugged in files can be wrong is told apart before anything is signed.

use super::*;
use crate::ca::{BundleError, CaFile};

fn refused(files: &CaFiles) -> BundleError {
    KeyCertBundle::from_pem(files, now()).unwrap_err()
}

/// A self-signed authority with these changes.
fn made(change: impl FnOnce(&mut CertificateParams)) -> CaFiles {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    CaFiles {
        ca_cert: params.self_signed(&key).unwrap().pem().into_bytes(),
        ca_key: key.serialize_pem().into_bytes(),
        ..CaFiles::default()
    }
}

#[test]
fn a_self_signed_authority_lives_ten_years_and_is_read_again() {
    let start = now();
    let (bundle, files) = KeyCertBundle::self_signed("shop.example", start).unwrap();
    let life = bundle.expires().duration_since(start).unwrap();
    assert!(life > 3_649 * DAY && life <= 3_650 * DAY, "{life:?}");
    assert!(bundle.intermediates().is_empty());
    assert!(KeyCertBundle::from_pem(&files, now()).unwrap().is_same(&bundle));
    let der = &ders(std::str::from_utf8(&files.ca_cert).unwrap())[0];
    let (_, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
    assert_eq!(certificate.subject().to_string(), "O=shop.example");
    assert_eq!(certificate.basic_constraints().unwrap().unwrap().value.path_len_constraint, None);
    assert!(matches!(
        KeyCertBundle::from_pem(&files, start + 3_651 * DAY),
        Err(BundleError::Expired { file: CaFile::CaCert, .. })
    ));
    assert!(matches!(KeyCertBundle::from_pem(&files, start - DAY), Err(BundleError::NotYetValid { .. })));
}

#[test]
fn a_chain_is_put_in_order_and_the_root_left_out() {
    let hierarchy = Hierarchy::new();
    let bundle = KeyCertBundle::from_pem(&hierarchy.files(), now()).unwrap();
    assert_eq!(bundle.intermediates(), [ders(&hierarchy.last), ders(&hierarchy.middle)].concat());
    assert_eq!(bundle.roots().certificates(), ders(&hierarchy.root));
    // The same in another order, and with the chain behind the certificate.
    let mut files = hierarchy.files();
    files.cert_chain = [hierarchy.root.as_str(), &hierarchy.middle].concat().into_bytes();
    assert!(KeyCertBundle::from_pem(&files, now()).unwrap().is_same(&bundle));
    files.ca_cert = [hierarchy.last.as_str(), &hierarchy.middle].concat().into_bytes();
    files.cert_chain.clear();
    assert!(KeyCertBundle::from_pem(&files, now()).unwrap().is_same(&bundle));
}

#[test]
fn several_roots_are_kept() {
    let hierarchy = Hierarchy::new();
    let mut files = hierarchy.files();
    let other = Hierarchy::new();
    files.root_cert = [other.root.as_str(), &hierarchy.root].concat().into_bytes();
    let bundle = KeyCertBundle::from_pem(&files, now()).unwrap();
    assert_eq!(bundle.roots().certificates(), [ders(&other.root), ders(&hierarchy.root)].concat());
}

#[test]
fn files_that_are_missing_or_no_pem_are_named() {
    let good = Hierarchy::new().files();
    assert!(matches!(refused(&CaFiles::default()), BundleError::NoCertificate(CaFile::CaCert)));
    let files = CaFiles { ca_key: b" \n".to_vec(), ..good.clone() };
    assert!(matches!(refused(&files), BundleError::Missing(CaFile::CaKey)));
    let broken = b"-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n".to_vec();
    let files = CaFiles { cert_chain: broken.clone(), ..good.clone() };
    assert!(matches!(refused(&files), BundleError::Pem(CaFile::CertChain)));
    let files = CaFiles { root_cert: b"no certificate".to_vec(), ..good.clone() };
    assert!(matches!(refused(&files), BundleError::Roots(_)), "{:?}", refused(&files));
    let nonsense = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
    let files = CaFiles { ca_cert: nonsense, ..good.clone() };
    assert!(matches!(refused(&files), BundleError::Certificate { file: CaFile::CaCert, number: 1 }));
    let files = CaFiles { ca_key: b"no key".to_vec(), ..good };
    assert!(matches!(refused(&files), BundleError::Pem(CaFile::CaKey)));
}

#[test]
fn a_key_must_be_in_clear_and_belong_to_the_certificate() {
    let good = Hierarchy::new().files();
    let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n".to_vec();
    assert!(matches!(refused(&CaFiles { ca_key: encrypted, ..good.clone() }), BundleError::EncryptedKey));
    let other = KeyPair::generate().unwrap().serialize_pem().into_bytes();
    assert!(matches!(refused(&CaFiles { ca_key: other, ..good.clone() }), BundleError::KeyMismatch));
    let nonsense = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_vec();
    assert!(matches!(refused(&CaFiles { ca_key: nonsense, ..good }), BundleError::Key(_)));
}

#[test]
fn a_certificate_that_may_not_sign_is_no_authority() {
    assert!(KeyCertBundle::from_pem(&made(|_| ()), now()).is_ok());
    assert!(matches!(refused(&made(|params| params.is_ca = IsCa::ExplicitNoCa)), BundleError::NotAuthority));
    assert!(matches!(refused(&made(|params| params.is_ca = IsCa::NoCa)), BundleError::NotAuthority));
    let files = made(|params| params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature]);
    assert!(matches!(refused(&files), BundleError::MayNotSign));
}

#[test]
fn a_chain_that_leads_to_another_root_or_nowhere_is_refused() {
    let (one, other) = (Hierarchy::new(), Hierarchy::new());
    // The other hierarchy has the same names; only signatures tell them apart.
    let files = CaFiles { root_cert: other.root.clone().into_bytes(), ..one.files() };
    assert!(matches!(refused(&files), BundleError::Chain(_)), "{:?}", refused(&files));
    let files = CaFiles { cert_chain: Vec::new(), ..one.files() };
    assert!(matches!(refused(&files), BundleError::Chain(_)));
    // May sign leaves, but no authority below it may.
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let root_key = KeyPair::generate().unwrap();
    let root = params.self_signed(&root_key).unwrap().pem();
    let issuer = Issuer::new(params, root_key);
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "below");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let files = CaFiles {
        ca_cert: params.signed_by(&key, &issuer).unwrap().pem().into_bytes(),
        ca_key: key.serialize_pem().into_bytes(),
        root_cert: root.into_bytes(),
        cert_chain: Vec::new(),
    };
    assert!(
        KeyCertBundle::from_pem(&files, now()).is_ok(),
        "a path length of 0 allows one authority that signs leaves"
    );
}

#[test]
fn keys_are_not_printed() {
    let (bundle, files) = KeyCertBundle::self_signed("cluster.local", now()).unwrap();
    let secret = String::from_utf8(files.ca_key.clone()).unwrap();
    let line = secret.lines().nth(1).unwrap();
    let printed = format!("{bundle:?} {files:?}");
    assert!(!printed.contains(line) && !printed.contains("PRIVATE"), "{printed}");
}
