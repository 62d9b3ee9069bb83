//! A server's `tls` block: certificates, versions and ciphers of a terminating server (docs/semantics.md §2.7), and what
//! is checked about it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crds::{ServerTlsMode, ServerTlsSettings, TlsCertificate, TlsProtocol};
use ir::{CertificateSource, SecretName, ServerTls, TlsVersion};

use super::{Candidate, SecretUse};
use crate::report::Problem;
use crate::scope::Scope;
use crate::secret;

/// Names of suites that users may give.
const CIPHERS: [&str; 16] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
    "ALL",
];

/// The name of a terminating server's route table, and its identity (docs/semantics.md §2.4).
pub(super) fn table_name(candidate: &Candidate<'_>) -> String {
    let port = candidate.server.port.as_ref().map_or("", |port| port.name.as_str());
    let meta = candidate.gateway.meta;
    let mut name = format!("https.{}.{port}.{}.{}", candidate.number, meta.name, meta.namespace);
    if let Some(bind) = candidate.bind() {
        name.push('.');
        name.push_str(bind);
    }
    name
}

/// The server names a server answers to: `*` alone where it is among them.
pub(super) fn server_names(candidate: &Candidate<'_>) -> Vec<String> {
    let mut names: Vec<String> = candidate.hosts.iter().map(|host| host.host.to_ascii_lowercase()).collect();
    if names.iter().any(|name| name == "*") {
        return vec!["*".to_owned()];
    }
    names.sort();
    names.dedup();
    names
}

pub(super) fn translate(
    candidate: &Candidate<'_>,
    settings: &ServerTlsSettings,
    secrets: &mut BTreeMap<SecretName, Vec<SecretUse>>,
) -> ServerTls {
    let certificates = match settings.mode {
        ServerTlsMode::Simple => certificates(candidate, settings, secrets),
        // Letting everybody in who should have shown a certificate is worse than letting nobody in. Without a
        // certificate of its own the server closes every handshake.
        ServerTlsMode::Mutual
        | ServerTlsMode::OptionalMutual
        | ServerTlsMode::IstioMutual
        | ServerTlsMode::Passthrough
        | ServerTlsMode::AutoPassthrough => Vec::new(),
    };
    let min_version = match settings.min_protocol_version {
        TlsProtocol::TlsV1_3 => TlsVersion::V1_3,
        TlsProtocol::TlsAuto | TlsProtocol::TlsV1_0 | TlsProtocol::TlsV1_1 | TlsProtocol::TlsV1_2 => TlsVersion::V1_2,
    };
    let max_version = match settings.max_protocol_version {
        TlsProtocol::TlsAuto | TlsProtocol::TlsV1_3 => TlsVersion::V1_3,
        TlsProtocol::TlsV1_0 | TlsProtocol::TlsV1_1 | TlsProtocol::TlsV1_2 => TlsVersion::V1_2.max(min_version),
    };
    let mut cipher_suites: Vec<String> = Vec::new();
    for cipher in settings.cipher_suites.iter().filter(|cipher| is_known(cipher)) {
        if !cipher_suites.contains(cipher) {
            cipher_suites.push(cipher.clone());
        }
    }
    ServerTls { certificates, min_version, max_version, cipher_suites }
}

fn certificates(
    candidate: &Candidate<'_>,
    settings: &ServerTlsSettings,
    secrets: &mut BTreeMap<SecretName, Vec<SecretUse>>,
) -> Vec<CertificateSource> {
    let mut named = |credential: &str, field: &str| {
        let name = secret::name(credential);
        let field = candidate.credential_path(field);
        secrets.entry(name.clone()).or_default().push(SecretUse { gateway: candidate.object(), field });
        CertificateSource::Secret(name)
    };
    if let Some(credential) = settings.credential_name.as_deref().filter(|name| is_secret(name)) {
        return vec![named(credential, "credentialName")];
    }
    if !settings.credential_names.is_empty() {
        let all = settings.credential_names.iter().enumerate().filter(|(_, name)| is_secret(name));
        return all.map(|(index, name)| named(name, &format!("credentialNames[{index}]"))).collect();
    }
    let files = |certificate: &Option<String>, key: &Option<String>| {
        let certificate = PathBuf::from(certificate.as_deref().filter(|path| !path.is_empty())?);
        let private_key = PathBuf::from(key.as_deref().filter(|path| !path.is_empty())?);
        Some(CertificateSource::Files { certificate, private_key })
    };
    if !settings.tls_certificates.is_empty() {
        let all = settings.tls_certificates.iter();
        return all.filter_map(|entry| files(&entry.server_certificate, &entry.private_key)).collect();
    }
    files(&settings.server_certificate, &settings.private_key).into_iter().collect()
}

/// Whether a credential is a Secret, in contrast to what other schemes deliver.
fn is_secret(credential: &str) -> bool {
    let name = secret::object_name(credential);
    !name.is_empty() && !name.contains("://") && !name.contains('/')
}

fn is_known(cipher: &str) -> bool {
    CIPHERS.contains(&cipher)
}

/// Checks the block of a terminating or passing server.
pub(super) fn validate(settings: &ServerTlsSettings, at: &mut Scope<'_>) {
    let ServerTlsSettings {
        https_redirect: _,
        mode,
        server_certificate,
        private_key,
        ca_certificates,
        ca_crl,
        credential_name,
        credential_names,
        ca_cert_credential_name,
        tls_certificates,
        subject_alt_names,
        verify_certificate_spki,
        verify_certificate_hash,
        min_protocol_version,
        max_protocol_version,
        cipher_suites,
        ecdh_curves,
        insecure_skip_verify,
    } = settings;
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let sources = [
        given(server_certificate) || given(private_key),
        given(credential_name),
        !credential_names.is_empty(),
        !tls_certificates.is_empty(),
    ];
    let count = sources.into_iter().filter(|given| *given).count();
    let passes = matches!(mode, ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough);
    if count > 1 {
        at.conflict("only one of serverCertificate, credentialName, credentialNames and tlsCertificates is allowed");
    }
    for (name, count) in [("credentialNames", credential_names.len()), ("tlsCertificates", tls_certificates.len())] {
        if count > 2 {
            at.field(name).conflict("at most two certificates are allowed, one per key type");
        }
    }
    match mode {
        ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough => {
            if count > 0 || given(ca_certificates) {
                at.no_effect("TLS passes through, so that certificates given here are not used");
            }
            at.field("mode").value_not_supported(mode, "handshakes for its hosts are closed");
        }
        ServerTlsMode::IstioMutual => {
            if count > 0 || given(ca_certificates) || given(ca_cert_credential_name) {
                at.conflict("ISTIO_MUTUAL uses the mesh's certificates; none can be given");
            }
            at.field("mode").value_not_supported(mode, "handshakes for its hosts are closed");
        }
        ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual => {
            let from_files = !sources[1] && !sources[2] && !sources[3];
            if from_files && !given(server_certificate) {
                at.field("serverCertificate")
                    .missing("a terminating server needs a certificate: credentialName or serverCertificate");
            }
            if from_files && !given(private_key) {
                at.field("privateKey")
                    .missing("a terminating server needs a private key: credentialName or privateKey");
            }
            if *mode != ServerTlsMode::Simple {
                let has_ca = given(ca_certificates)
                    || given(ca_cert_credential_name)
                    || tls_certificates.iter().any(|entry| given(&entry.ca_certificates));
                if !sources[1] && !sources[2] && !has_ca {
                    at.field("caCertificates")
                        .missing("MUTUAL needs the authorities that client certificates come from");
                }
                at.field("mode")
                    .not_supported("handshakes for its hosts are closed rather than done without client certificate");
            }
        }
    }
    for (index, TlsCertificate { server_certificate, private_key, ca_certificates: _ }) in
        tls_certificates.iter().enumerate()
    {
        let mut at = at.item("tlsCertificates", index);
        if !given(server_certificate) || !given(private_key) {
            at.missing("an entry needs serverCertificate and privateKey");
        }
    }
    let names = credential_names.iter().enumerate().map(|(index, name)| (Some(index), name));
    for (index, name) in credential_name.iter().filter(|name| !name.is_empty()).map(|name| (None, name)).chain(names) {
        let mut at = match index {
            None => at.field("credentialName"),
            Some(index) => at.item("credentialNames", index),
        };
        if secret::object_name(name).contains("://") {
            at.not_supported("only Secrets deliver certificates; handshakes are closed");
        } else if !is_secret(name) {
            at.invalid(name, "the name of a Secret; it is looked for in the gateway's own namespace");
        }
    }
    if given(ca_crl) && (count > 0 && !sources[0] || *mode == ServerTlsMode::Simple) {
        at.field("caCrl").conflict("caCrl goes with MUTUAL and certificates from files only");
    }
    if *mode == ServerTlsMode::Simple {
        for (name, is_given) in [
            ("subjectAltNames", !subject_alt_names.is_empty()),
            ("verifyCertificateSpki", !verify_certificate_spki.is_empty()),
            ("verifyCertificateHash", !verify_certificate_hash.is_empty()),
            ("insecureSkipVerify", insecure_skip_verify.is_some()),
            ("caCertCredentialName", given(ca_cert_credential_name)),
        ] {
            if is_given {
                at.field(name).no_effect("mode SIMPLE asks for no client certificate");
            }
        }
    }
    if passes {
        return;
    }
    validate_versions(*min_protocol_version, *max_protocol_version, cipher_suites, at);
    if !ecdh_curves.is_empty() {
        at.field("ecdhCurves").not_supported("the default key exchange groups are used");
    }
}

fn validate_versions(min: TlsProtocol, max: TlsProtocol, ciphers: &[String], at: &mut Scope<'_>) {
    let is_old = |version| matches!(version, TlsProtocol::TlsV1_0 | TlsProtocol::TlsV1_1);
    if max != TlsProtocol::TlsAuto && max < min {
        at.field("maxProtocolVersion").conflict("the newest version allowed is older than the oldest");
    }
    if is_old(min) {
        at.field("minProtocolVersion").no_effect("versions before TLS 1.2 are never spoken");
    }
    if is_old(max) {
        at.field("maxProtocolVersion").no_effect("versions before TLS 1.2 are never spoken; TLS 1.2 is");
    }
    let mut seen = BTreeSet::new();
    for (index, cipher) in ciphers.iter().enumerate() {
        let mut at = at.item("cipherSuites", index);
        if !is_known(cipher) {
            at.no_effect("this is not the name of a cipher suite");
        } else if !seen.insert(cipher) {
            at.report(Problem::NoEffect { why: "it is given twice" });
        }
    }
}
