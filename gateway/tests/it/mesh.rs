//! A certificate authority for one test, and a directory as a pod has it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gateway::discovery::{Limits, Node, Options, Wanted};
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use crate::controller::Controller;

/// A root that signs.
pub(crate) struct Mesh {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) root: String,
}

impl Mesh {
    pub(crate) fn new() -> Arc<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        Arc::new(Self { issuer: Issuer::new(params, key), root })
    }

    /// A certificate for a server, and its key.
    pub(crate) fn server(&self, name: &str) -> (String, String) {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Answers a request for a certificate as authorities do.
    pub(crate) fn sign(&self, request: &str, lifetime: Duration) -> Vec<String> {
        let mut request = CertificateSigningRequestParams::from_pem(request).unwrap();
        request.params.not_before = (SystemTime::now() - Duration::from_secs(120)).into();
        request.params.not_after = (SystemTime::now() + lifetime).into();
        vec![request.signed_by(&self.issuer).unwrap().pem(), self.root.clone()]
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.root.as_bytes()).unwrap()).unwrap();
        roots
    }

    /// For a controller; clients may show a certificate of `clients`, or none.
    pub(crate) fn server_config(&self, clients: &Mesh) -> ServerConfig {
        let verifier =
            WebPkiClientVerifier::builder(Arc::new(clients.roots())).allow_unauthenticated().build().unwrap();
        let (certificate, key) = self.server("localhost");
        let mut config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }

    /// For clients that trust this root.
    pub(crate) fn client_config(&self) -> Arc<ClientConfig> {
        Arc::new(ClientConfig::builder().with_root_certificates(self.roots()).with_no_client_auth())
    }
}

/// What is mounted into a gateway's pod.
pub(crate) struct Pod {
    directory: TempDir,
}

impl Pod {
    pub(crate) fn new(mesh: &Mesh) -> Self {
        let pod = Self { directory: TempDir::new().unwrap() };
        pod.write_root(&mesh.root);
        pod.write_token("token-1");
        pod
    }

    pub(crate) fn write_root(&self, text: &str) {
        self.write("root-cert.pem", text);
    }

    pub(crate) fn write_token(&self, text: &str) {
        self.write("token", text);
    }

    /// As the kubelet does: never half a file.
    fn write(&self, name: &str, text: &str) {
        let temporary = self.directory.path().join(format!("{name}.new"));
        std::fs::write(&temporary, text).unwrap();
        std::fs::rename(temporary, self.path(name)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn options(&self, controller: &Controller) -> Options {
        Options {
            address: controller.address(),
            authority: controller.address(),
            roots: self.path("root-cert.pem"),
            token: self.path("token"),
            snapshot: Some(self.path("snapshots")),
            node: Node {
                pod: "edge-1".to_owned(),
                namespace: "edge".to_owned(),
                service_account: "gateway".to_owned(),
                cluster: "Kubernetes".to_owned(),
                trust_domain: Some("cluster.local".to_owned()),
            },
            wanted: Wanted::everything(),
            certificate_lifetime: Duration::from_secs(24 * 3600),
            limits: Limits::default(),
        }
    }
}
