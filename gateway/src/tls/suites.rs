//! Versions and cipher suites (docs/semantics.md §2.7).

use rustls::crypto::{CryptoProvider, ring};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

use ir::TlsVersion;

/// The provider restricted to what a server's settings allow. Suites concern TLS 1.2 only.
pub(crate) fn provider(names: &[String]) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if !names.is_empty() {
        let named: Vec<_> = names.iter().filter_map(|name| suite(name)).collect();
        if !named.is_empty() {
            provider.cipher_suites.retain(|it| matches!(it, SupportedCipherSuite::Tls13(_)));
            provider.cipher_suites.extend(named);
        }
    }
    provider
}

pub(crate) fn versions(min: TlsVersion, max: TlsVersion) -> Vec<&'static SupportedProtocolVersion> {
    let mut versions = Vec::new();
    if max >= TlsVersion::V1_3 {
        versions.push(&version::TLS13);
    }
    if min <= TlsVersion::V1_2 {
        versions.push(&version::TLS12);
    }
    versions
}

/// OpenSSL's names.
fn suite(name: &str) -> Option<SupportedCipherSuite> {
    use ring::cipher_suite as suite;
    Some(match name {
        "ECDHE-ECDSA-AES128-GCM-SHA256" => suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256" => suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES256-GCM-SHA384" => suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES256-GCM-SHA384" => suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-CHACHA20-POLY1305" => suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305" => suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        _ => return None,
    })
}

/// As logs show a negotiated version.
pub(crate) fn version_name(version: Option<rustls::ProtocolVersion>) -> &'static str {
    match version {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "-",
    }
}
