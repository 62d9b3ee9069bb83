//! TLS settings of the controller's servers: TLS 1.2 and 1.3, and client certificates of the mesh where they help.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use tracing::debug;

use super::certificate::Serving;
use crate::identity::{CertificateProblem, CertificateVerifier};

/// Protocols above TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// gRPC.
    Http2,
    /// As API servers call webhooks.
    Http2AndHttp1,
}

/// What is asked of clients.
#[derive(Clone, Debug)]
pub enum ClientCertificates {
    /// None: whoever can reach the server may talk to it.
    Ignored,
    /// A good certificate of the mesh, or none at all.
    Optional(CertificateVerifier),
}

/// The settings contradict each other.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be served: {0}")]
pub struct TlsError(#[from] rustls::Error);

/// Settings for a server with this certificate.
///
/// Sessions are not resumed: a resumed one would carry over a client certificate that may have expired or lost its root
/// since (docs/security.md, T-4), and proxies connect rarely.
///
/// # Errors
/// When the crypto provider lacks what the versions of TLS need.
pub fn tls(serving: &Arc<Serving>, clients: ClientCertificates, alpn: Alpn) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match clients {
        ClientCertificates::Ignored => builder.with_no_client_auth(),
        ClientCertificates::Optional(verifier) => {
            builder.with_client_cert_verifier(Arc::new(MeshClients { verifier, provider }))
        }
    };
    let mut config = builder.with_cert_resolver(Arc::clone(serving) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = match alpn {
        Alpn::Http2 => vec![b"h2".to_vec()],
        Alpn::Http2AndHttp1 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// Accepts clients without a certificate, and those with a good one of the mesh.
#[derive(Debug)]
struct MeshClients {
    verifier: CertificateVerifier,
    provider: Arc<CryptoProvider>,
}

impl MeshClients {
    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }
}

impl ClientCertVerifier for MeshClients {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Roots change while we serve, and who has a certificate has one only.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let mut chain = vec![end_entity.clone()];
        chain.extend_from_slice(intermediates);
        match self.verifier.verify(&chain, system_time(now)) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(problem) => {
                debug!(%problem, "client certificate refused");
                Err(alert(&problem).into())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, self.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}

/// The client learns what kind of problem it is from the TLS alert, so that it knows to come back without a certificate.
fn alert(problem: &CertificateProblem) -> CertificateError {
    match problem {
        CertificateProblem::Expired => CertificateError::Expired,
        CertificateProblem::NotYetValid => CertificateError::NotValidYet,
        CertificateProblem::UnknownIssuer => CertificateError::UnknownIssuer,
        CertificateProblem::Usage => CertificateError::InvalidPurpose,
        CertificateProblem::Missing | CertificateProblem::Encoding => CertificateError::BadEncoding,
        CertificateProblem::ChainLength
        | CertificateProblem::IsAuthority
        | CertificateProblem::Chain(_)
        | CertificateProblem::UriCount(_)
        | CertificateProblem::Identity(_)
        | CertificateProblem::TrustDomain(_) => CertificateError::ApplicationVerificationFailure,
    }
}

fn system_time(now: UnixTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(now.as_secs())
}
