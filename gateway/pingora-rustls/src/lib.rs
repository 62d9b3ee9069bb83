//! Stand-in for the crate of the same name that pingora-core links for TLS.
//!
//! It offers the items pingora-core 0.9.1 uses and differs in two points:
//! - [`TlsConnector`] lets a peer choose a client configuration of ours (verifier, roots, client certificate,
//!   session store) by a token in place of its server name, see [`registry`]; the published crate knows only the one
//!   configuration that pingora builds, and has no place for a SPIFFE verifier or for resumption with client
//!   certificates;
//! - the platform's root certificates are not loaded behind our back: whoever needs them puts them into a
//!   configuration of its own.
//!
//! A server name that is not a token and no configuration of ours verifies against an empty root store, so it fails.

mod connector;
mod pem;
pub mod registry;

pub use connector::TlsConnector;
pub use no_debug::{Ellipses, NoDebug, WithTypeInfo};
pub use pem::{load_ca_file_into_store, load_certs_and_key_files, load_pem_file_ca, load_pem_file_private_key};

pub use rustls::client::WebPkiServerVerifier;
pub use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
pub use rustls::crypto::CryptoProvider;
pub use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
pub use rustls::server::{ClientCertVerifierBuilder, ClientHello, ResolvesServerCert, WebPkiClientVerifier};
pub use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as RusTlsError, KeyLogFile, RootCertStore,
    ServerConfig, SignatureScheme, Stream, sign, version,
};
pub use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
pub use tokio_rustls::client::TlsStream as ClientTlsStream;
pub use tokio_rustls::server::TlsStream as ServerTlsStream;
pub use tokio_rustls::{Accept, Connect, TlsAcceptor, TlsStream};

/// Makes ring the process's crypto provider unless one is set already.
pub fn install_default_crypto_provider() {
    // An error means that a provider is in place, which is what the caller wants.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Leaves the store as it is: upstream trust is always configured, never inherited from the machine.
///
/// # Errors
/// None; the signature is the published crate's.
pub fn load_platform_certs_incl_env_into_store(_store: &mut RootCertStore) -> pingora_error::Result<()> {
    Ok(())
}

/// SHA-256 of a certificate's DER bytes.
pub fn hash_certificate(certificate: &CertificateDer<'_>) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, certificate.as_ref()).as_ref().to_vec()
}
