//! What is signed says what was proven, whatever was asked for.

use std::sync::Arc;

use arc_swap::ArcSwap;
use x509_parser::extensions::GeneralName;

use super::*;
use crate::ca::{RequestError, SignError};
use crate::identity::{CertificateProblem, CertificateVerifier, TrustDomains, system_time};

fn verifier(authority: &Authority) -> CertificateVerifier {
    CertificateVerifier::new(authority.trusted(), Arc::new(ArcSwap::from_pointee(TrustDomains::default())))
}

#[test]
fn everything_in_a_request_but_its_key_is_ignored() {
    let (authority, key, start) = (authority(), KeyPair::generate().unwrap(), now());
    let signed = authority.sign(&greedy_request(&key), &identity(), None, start).unwrap();
    let chain = ders(&signed.chain[0]);
    let (_, leaf) = x509_parser::parse_x509_certificate(&chain[0]).unwrap();
    assert_eq!(leaf.subject().iter_attributes().count(), 0);
    assert_eq!(leaf.public_key().subject_public_key.data, key.public_key_raw());
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    assert!(names.critical);
    assert_eq!(names.value.general_names, [GeneralName::URI("spiffe://cluster.local/ns/shop/sa/web")]);
    let constraints = leaf.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && !constraints.value.ca);
    let usage = leaf.key_usage().unwrap().unwrap();
    assert!(usage.critical);
    // Digital signature, and nothing else.
    assert_eq!(usage.value.flags, 1);
    let extended = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.server_auth && extended.client_auth && !extended.code_signing && !extended.any);
    assert_eq!(leaf.extensions().len(), 6, "names, constraints, two usages, two key identifiers: {leaf:?}");
    assert_eq!(leaf.validity().not_before.timestamp(), unix(start) - 120);
    assert_eq!(leaf.validity().not_after.timestamp(), unix(start) + 86_400);
    assert_eq!(system_time(leaf.validity().not_after.timestamp()), signed.expires);
    assert_eq!(format!("{:0>1$X}", leaf.tbs_certificate.serial, signed.serial.len()), signed.serial);
    let verified = verifier(&authority).verify(&chain, start).unwrap();
    assert_eq!(verified.identity, identity());
    assert_eq!(verified.expires, signed.expires);
    assert!(matches!(verifier(&authority).verify(&chain, start + 2 * DAY), Err(CertificateProblem::Expired)));
}

#[test]
fn a_renewed_certificate_says_since_when() {
    let (authority, start) = (authority(), now());
    let request = request(&KeyPair::generate().unwrap());
    let first = authority.sign(&request, &identity(), None, start).unwrap();
    let verified = verifier(&authority).verify(&ders(&first.chain[0]), start).unwrap();
    let begun = verified.begun;
    assert!(begun <= start && begun + Duration::from_secs(200) > start);
    let later = start + DAY / 2;
    let second = authority.renew(&request, &identity(), None, begun, later).unwrap();
    let chain = ders(&second.chain[0]);
    assert_eq!(verifier(&authority).verify(&chain, later).unwrap().begun, begun);
    let (_, leaf) = x509_parser::parse_x509_certificate(&chain[0]).unwrap();
    assert_eq!(leaf.extensions().len(), 7, "{leaf:?}");
    assert_eq!(leaf.extensions().iter().filter(|one| one.critical).count(), 3);
}

fn unix(time: SystemTime) -> i64 {
    i64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

#[test]
fn keys_that_are_strong_enough_are_signed() {
    let authority = authority();
    for kind in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let key = KeyPair::generate_for(kind).unwrap();
        let signed = authority.sign(&request(&key), &identity(), None, now()).unwrap();
        assert!(verifier(&authority).verify(&ders(&signed.chain[0]), now()).is_ok());
    }
    let signed = authority.sign(include_str!("requests/rsa-2048.pem"), &identity(), None, now()).unwrap();
    let chain = ders(&signed.chain[0]);
    let (_, leaf) = x509_parser::parse_x509_certificate(&chain[0]).unwrap();
    let usage = leaf.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && usage.key_encipherment());
    assert!(verifier(&authority).verify(&chain, now()).is_ok());
}

#[test]
fn weak_keys_foreign_kinds_and_bad_signatures_are_refused() {
    let authority = authority();
    let refused = |pem: &str| match authority.sign(pem, &identity(), None, now()) {
        Err(SignError::Request(problem)) => problem,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(include_str!("requests/rsa-1024.pem")), RequestError::RsaSize { bits: 1024 });
    assert_eq!(refused(include_str!("requests/rsa-2048-sha1.pem")), RequestError::WeakSignature);
    assert_eq!(refused(include_str!("requests/p-521.pem")), RequestError::KeyKind);
    assert_eq!(refused(include_str!("requests/rsa-pss.pem")), RequestError::KeyKind);
    assert_eq!(refused(""), RequestError::Pem);
    assert_eq!(refused(&KeyPair::generate().unwrap().serialize_pem()), RequestError::Pem);
    let nonsense = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
    assert_eq!(refused(nonsense), RequestError::Encoding);
    assert_eq!(refused(&"x".repeat(70_000)), RequestError::TooLong);

    let key = KeyPair::generate().unwrap();
    let good = CertificateParams::default().serialize_request(&key).unwrap();
    let again = |der: &[u8]| pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", der));
    assert!(authority.sign(&again(good.der()), &identity(), None, now()).is_ok());
    let mut broken = good.der().to_vec();
    *broken.last_mut().unwrap() ^= 1;
    assert_eq!(refused(&again(&broken)), RequestError::Signature);
    let mut longer = good.der().to_vec();
    longer.push(0);
    assert_eq!(refused(&again(&longer)), RequestError::Encoding);
    // Cut anywhere it is refused; with a byte changed it is, unless the byte says nothing, and then the key is the same.
    for at in 0..good.der().len() {
        refused(&again(&good.der()[..at]));
        let mut changed = good.der().to_vec();
        changed[at] ^= 0x41;
        if let Ok(signed) = authority.sign(&again(&changed), &identity(), None, now()) {
            let chain = ders(&signed.chain[0]);
            let (_, leaf) = x509_parser::parse_x509_certificate(&chain[0]).unwrap();
            assert_eq!(leaf.public_key().subject_public_key.data, key.public_key_raw(), "byte {at}");
        }
    }
}

#[test]
fn a_certificate_lives_as_long_as_asked_but_never_longer_than_allowed_or_its_authority() {
    let start = now();
    let (bundle, _) = KeyCertBundle::self_signed("cluster.local", start).unwrap();
    let ends = bundle.expires();
    let authority = Authority::new(bundle, SigningPolicy::default());
    let csr = request(&KeyPair::generate().unwrap());
    let life = |wanted: Option<u64>, at: SystemTime| {
        let signed = authority.sign(&csr, &identity(), wanted.map(Duration::from_secs), at);
        signed.map(|signed| signed.expires.duration_since(at).unwrap().as_secs_f64().ceil() as u64)
    };
    assert_eq!(life(None, start).unwrap(), 86_400);
    assert_eq!(life(Some(60), start).unwrap(), 60);
    assert_eq!(life(Some(u64::MAX), start).unwrap(), 86_400);
    assert_eq!(life(None, ends - Duration::from_secs(100)).unwrap(), 100);
    assert!(matches!(life(None, ends), Err(SignError::Expired)));
}

#[test]
fn the_answer_is_leaf_intermediates_and_all_roots_in_one() {
    let (hierarchy, other) = (Hierarchy::new(), Hierarchy::new());
    let authority =
        Authority::new(KeyCertBundle::from_pem(&hierarchy.files(), now()).unwrap(), SigningPolicy::default());
    let csr = request(&KeyPair::generate().unwrap());
    let signed = authority.sign(&csr, &identity(), None, now()).unwrap();
    assert_eq!(signed.chain.len(), 4);
    assert_eq!(ders(&signed.chain[1]), ders(&hierarchy.last));
    assert_eq!(ders(&signed.chain[2]), ders(&hierarchy.middle));
    assert_eq!(ders(&signed.chain[3]), ders(&hierarchy.root));
    let presented = ders(&signed.chain[..3].concat());
    assert!(verifier(&authority).verify(&presented, now()).is_ok());
    assert!(matches!(verifier(&authority).verify(&presented[..1], now()), Err(CertificateProblem::UnknownIssuer)));

    let mut changes = authority.changes();
    authority.replace(KeyCertBundle::from_pem(&other.files(), now()).unwrap());
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    let signed = authority.sign(&csr, &identity(), None, now()).unwrap();
    assert_eq!(ders(&signed.chain[3]), [ders(&other.root), ders(&hierarchy.root)].concat());
    assert!(verifier(&authority).verify(&presented, now()).is_ok(), "certificates in use stay good");
    authority.forget_other_roots();
    assert!(changes.has_changed().unwrap());
    assert!(verifier(&authority).verify(&presented, now()).is_err());
    assert!(verifier(&authority).verify(&ders(&signed.chain[..3].concat()), now()).is_ok());
}

#[test]
fn serial_numbers_do_not_repeat() {
    let authority = authority();
    let csr = request(&KeyPair::generate().unwrap());
    let serial = || authority.sign(&csr, &identity(), None, now()).unwrap().serial;
    let serials: std::collections::HashSet<String> = (0..50).map(|_| serial()).collect();
    assert_eq!(serials.len(), 50);
    assert!(serials.iter().any(|serial| serial.len() == 32));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_reading_a_request_or_a_certificate_panic(
        at in 0..2_000_usize,
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 1..12),
    ) {
        let authority = authority();
        let overwrite = |der: &[u8]| {
            let mut der = der.to_vec();
            let at = at % der.len();
            let end = der.len().min(at + bytes.len());
            der[at..end].copy_from_slice(&bytes[..end - at]);
            der
        };
        let key = KeyPair::generate().unwrap();
        let good = ders_of_request(&greedy_request(&key));
        let pem = pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", overwrite(&good)));
        let _ = authority.sign(&pem, &identity(), None, now());
        let leaf = ders(&authority.sign(&request(&key), &identity(), None, now()).unwrap().chain[0]).remove(0);
        let changed = CertificateDer::from(overwrite(&leaf));
        let same = changed == leaf;
        // A signature is not the only encoding of itself, but who signed is beyond doubt.
        if let Ok(verified) = verifier(&authority).verify(&[changed], now()) {
            proptest::prop_assert!(same || verified.identity == identity());
        }
    }
}

fn ders_of_request(pem: &str) -> Vec<u8> {
    pem::parse(pem).unwrap().into_contents()
}
