//! A certificate authority for one test.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;

/// Issues certificates that [`Pki::client`] trusts.
pub struct Pki {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    root_pem: String,
}

/// A server certificate in PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}

impl Pki {
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names, no wrong ones");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test root");
        let key = KeyPair::generate().expect("the provider makes keys");
        let root = params.self_signed(&key).expect("a root signs itself");
        Self { issuer: Issuer::new(params, key), root: root.der().clone(), root_pem: root.pem() }
    }

    /// A certificate for these names.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("tests use good names");
        let key = KeyPair::generate().expect("the provider makes keys");
        let certificate = params.signed_by(&key, &self.issuer).expect("the root signs").pem();
        Issued { certificate, key: key.serialize_pem() }
    }

    /// A certificate that a client is known by: its name, and a group as its organization. One at most: rcgen holds one
    /// value per kind of attribute.
    #[must_use]
    pub fn issue_client(&self, name: &str, group: Option<&str>) -> Issued {
        let mut params = CertificateParams::new(Vec::new()).expect("no names, no wrong ones");
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("the provider makes keys");
        let certificate = params.signed_by(&key, &self.issuer).expect("the root signs").pem();
        Issued { certificate, key: key.serialize_pem() }
    }

    /// The root, for clients of other programs.
    #[must_use]
    pub fn root_pem(&self) -> String {
        self.root_pem.clone()
    }

    #[must_use]
    pub fn root_der(&self) -> Vec<u8> {
        self.root.to_vec()
    }

    /// A client that trusts this authority and offers these protocols.
    #[must_use]
    pub fn client(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        self.client_of(alpn, rustls::DEFAULT_VERSIONS)
    }

    /// One that speaks these versions of TLS.
    #[must_use]
    pub fn client_of(
        &self,
        alpn: &[&str],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("our own root parses");
        let mut config =
            ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

impl Issued {
    /// A Secret with this certificate, as YAML.
    #[must_use]
    pub fn secret(&self, name: &str) -> String {
        let indent = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: istio-system}}\ntype: kubernetes.io/tls\n\
             stringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
            indent(&self.certificate),
            indent(&self.key)
        )
    }
}
