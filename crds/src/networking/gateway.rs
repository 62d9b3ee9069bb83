//! Gateway: ports a proxy at the edge listens on (docs/semantics.md §2.1).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::enumeration::enumeration;

/// Describes the listeners of the gateway proxies it selects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Gateway {
    /// What to listen on: one entry per port, protocol and set of certificates.
    pub servers: Vec<Server>,
    /// Labels of the gateway pods this applies to, in any namespace; without it, every gateway.
    pub selector: Option<BTreeMap<String, String>>,
}

/// One logical listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Server {
    /// Port and protocol. The port is the Service's in front of the gateway, which says where the pods listen.
    pub port: Option<Port>,
    /// Address to listen on: an IP address or a `unix://` socket. Without it, every address.
    pub bind: Option<String>,
    /// Hosts served, as `[namespace/]dnsName`: a full name, `*.example.com` or `*`. With a namespace, only
    /// VirtualServices of that namespace (`.` for the Gateway's own) may use the host.
    pub hosts: Vec<String>,
    /// How connections are secured; needed with protocol HTTPS and TLS. With HTTP it can hold `httpsRedirect` only.
    pub tls: Option<ServerTlsSettings>,
    /// Where traffic goes that nothing routes. Not implemented by Istio.
    pub default_endpoint: Option<String>,
    /// A name for statistics, which routing pays no attention to.
    pub name: Option<String>,
}

/// A port of a [`Server`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    /// The port's number: 1 to 65535, or 0 with a unix socket.
    pub number: i64,
    /// HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, TCP or TLS, in any case.
    pub protocol: String,
    /// A name, unique among the Gateway's ports.
    pub name: String,
    /// Deprecated and refused: the Service in front of the gateway says where its pods listen.
    pub target_port: Option<i64>,
}

/// How a [`Server`] secures its connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerTlsSettings {
    /// Send clients of this plaintext port to https by a redirect with status 301.
    pub https_redirect: bool,
    /// Whether TLS ends here and what is asked of the client.
    pub mode: ServerTlsMode,
    /// File in the gateway's container with the server's certificate.
    pub server_certificate: Option<String>,
    /// File in the gateway's container with the server's private key.
    pub private_key: Option<String>,
    /// File with the authorities that client certificates must come from.
    pub ca_certificates: Option<String>,
    /// File with the list of revoked client certificates.
    pub ca_crl: Option<String>,
    /// Secret with certificate and key (`tls.crt`, `tls.key`, and `ca.crt` for client certificates), in the namespace
    /// of the gateway's pods.
    pub credential_name: Option<String>,
    /// Secrets with certificates and keys, one per key type.
    pub credential_names: Vec<String>,
    /// Secret or ConfigMap with the authorities of client certificates.
    pub ca_cert_credential_name: Option<String>,
    /// Files with certificates and keys, one entry per key type.
    pub tls_certificates: Vec<TlsCertificate>,
    /// Names of which a client certificate must carry one.
    pub subject_alt_names: Vec<String>,
    /// SHA-256 of acceptable client public keys, in base64.
    pub verify_certificate_spki: Vec<String>,
    /// SHA-256 of acceptable client certificates, in hexadecimal.
    pub verify_certificate_hash: Vec<String>,
    /// Oldest TLS version accepted; TLS 1.2 without it.
    pub min_protocol_version: TlsProtocol,
    /// Newest TLS version accepted; TLS 1.3 without it.
    pub max_protocol_version: TlsProtocol,
    /// Cipher suites for TLS 1.2 and older, by their OpenSSL names.
    pub cipher_suites: Vec<String>,
    /// Key exchange groups, in the order of preference.
    pub ecdh_curves: Vec<String>,
    /// Ask for a client certificate but accept an untrusted one.
    pub insecure_skip_verify: Option<bool>,
}

/// Files of one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsCertificate {
    /// File in the gateway's container with the certificate.
    pub server_certificate: Option<String>,
    /// File in the gateway's container with the private key.
    pub private_key: Option<String>,
    /// File with the authorities of client certificates.
    pub ca_certificates: Option<String>,
}

enumeration! {
    /// Where TLS ends and who has to show a certificate (docs/semantics.md §2.7).
    ServerTlsMode {
        /// TLS goes through; the route is chosen by SNI.
        Passthrough = ("PASSTHROUGH", 0),
        /// TLS ends here.
        Simple = ("SIMPLE", 1),
        /// TLS ends here and the client shows a certificate.
        Mutual = ("MUTUAL", 2),
        /// TLS goes through to the cluster the SNI names.
        AutoPassthrough = ("AUTO_PASSTHROUGH", 3),
        /// TLS ends here with certificates of the mesh on both sides.
        IstioMutual = ("ISTIO_MUTUAL", 4),
        /// TLS ends here; a client certificate is checked if there is one.
        OptionalMutual = ("OPTIONAL_MUTUAL", 5),
    }
}

enumeration! {
    /// A TLS version.
    TlsProtocol {
        /// The proxy's choice.
        TlsAuto = ("TLS_AUTO", 0),
        /// TLS 1.0.
        TlsV1_0 = ("TLSV1_0", 1),
        /// TLS 1.1.
        TlsV1_1 = ("TLSV1_1", 2),
        /// TLS 1.2.
        TlsV1_2 = ("TLSV1_2", 3),
        /// TLS 1.3.
        TlsV1_3 = ("TLSV1_3", 4),
    }
}
