//! The authority as others see it: what it takes, and what it signs.

mod bundle;
mod openssl;
mod sign;

use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::{Authority, CaFiles, KeyCertBundle, SigningPolicy};
use crate::identity::SpiffeId;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> SystemTime {
    SystemTime::now()
}

fn identity() -> SpiffeId {
    "spiffe://cluster.local/ns/shop/sa/web".parse().unwrap()
}

fn authority() -> Authority {
    Authority::new(KeyCertBundle::self_signed("cluster.local", now()).unwrap().0, SigningPolicy::default())
}

/// A modest request for this key.
fn request(key: &KeyPair) -> String {
    CertificateParams::default().serialize_request(key).unwrap().pem().unwrap()
}

/// A request that asks for everything it should not get.
fn greedy_request(key: &KeyPair) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "admin");
    params.distinguished_name.push(DnType::OrganizationName, "system:masters");
    params.subject_alt_names = vec![
        SanType::URI("spiffe://cluster.local/ns/kube-system/sa/admin".try_into().unwrap()),
        SanType::DnsName("kubernetes.default.svc".try_into().unwrap()),
    ];
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::CodeSigning];
    let mut foreign = CustomExtension::from_oid_content(&[1, 2, 3, 4, 5], vec![5, 0]);
    foreign.set_criticality(true);
    params.custom_extensions = vec![foreign];
    params.serialize_request(key).unwrap().pem().unwrap()
}

fn ders(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap()
}

/// Somebody's own hierarchy: a root, an authority below it, and one below that.
struct Hierarchy {
    root: String,
    middle: String,
    last: String,
    last_key: KeyPair,
}

impl Hierarchy {
    fn new() -> Self {
        let params = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CountryName, "DE");
            params.distinguished_name.push(DnType::OrganizationName, "Shop");
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
            params.use_authority_key_identifier_extension = true;
            params
        };
        let root_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let root = params("root").self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(params("root"), root_key);
        let middle_key = KeyPair::generate().unwrap();
        let middle = params("middle").signed_by(&middle_key, &root_issuer).unwrap();
        let middle_issuer = Issuer::new(params("middle"), middle_key);
        let last_key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let last = params("last").signed_by(&last_key, &middle_issuer).unwrap();
        Self { root: root.pem(), middle: middle.pem(), last: last.pem(), last_key }
    }

    /// As Istio's guide lays them out.
    fn files(&self) -> CaFiles {
        CaFiles {
            ca_cert: self.last.clone().into_bytes(),
            ca_key: self.last_key.serialize_pem().into_bytes(),
            root_cert: self.root.clone().into_bytes(),
            cert_chain: [self.last.as_str(), &self.middle, &self.root].concat().into_bytes(),
        }
    }
}
