//! What a service's port speaks (docs/semantics.md §15.5).

use ir::UpstreamProtocol;

/// Protocols, as far as they make a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    /// HTTP/2, gRPC and gRPC-web.
    Http2,
    /// HTTPS and TLS.
    Tls,
    /// TCP and everything carried as such.
    Tcp,
    Udp,
    /// Found out from the first bytes.
    Auto,
}

/// Ports whose servers speak first, so that nothing can be found out from the client's bytes.
const TCP_PORTS: [u16; 4] = [25, 53, 3306, 27017];

impl Protocol {
    /// A protocol by Istio's name for it, in any case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "http" | "http_proxy" => Self::Http,
            "http2" | "grpc" | "grpc-web" => Self::Http2,
            "https" | "tls" => Self::Tls,
            "tcp" | "mongo" | "redis" | "mysql" => Self::Tcp,
            "udp" => Self::Udp,
            _ => return None,
        })
    }

    /// Of a Kubernetes service's port.
    pub(crate) fn of_service_port(transport: Option<&str>, app: Option<&str>, name: &str, number: u16) -> Self {
        if transport.is_some_and(|transport| transport != "TCP") {
            return Self::Udp;
        }
        let named = match app {
            Some(app) => match app.to_ascii_lowercase().as_str() {
                "kubernetes.io/h2c" => Some(Self::Http2),
                "kubernetes.io/ws" => Some(Self::Http),
                "kubernetes.io/wss" => Some(Self::Tls),
                other => Self::named(other),
            },
            None => {
                let name = name.to_ascii_lowercase();
                let grpc_web = name == "grpc-web" || name.starts_with("grpc-web-");
                Self::named(if grpc_web { "grpc-web" } else { name.split('-').next().unwrap_or_default() })
            }
        };
        named.unwrap_or(if TCP_PORTS.contains(&number) { Self::Tcp } else { Self::Auto })
    }

    /// What is spoken to endpoints when the client speaks HTTP.
    pub(crate) fn upstream(self) -> UpstreamProtocol {
        match self {
            Self::Http2 => UpstreamProtocol::Http2,
            // A gateway sniffs nothing: a port that declares nothing is spoken to in HTTP/1.1.
            Self::Http | Self::Auto | Self::Tls | Self::Tcp | Self::Udp => UpstreamProtocol::Http1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_port_declares_its_protocol() {
        for (app, name, number, expected) in [
            (None, "http", 80, Protocol::Http),
            (None, "http-web", 80, Protocol::Http),
            (None, "HTTP2-x", 80, Protocol::Http2),
            (None, "grpc-web-api", 80, Protocol::Http2),
            (None, "grpc-api", 80, Protocol::Http2),
            (None, "web", 80, Protocol::Auto),
            (None, "", 3306, Protocol::Tcp),
            (Some("kubernetes.io/h2c"), "http", 80, Protocol::Http2),
            (Some("http"), "tcp", 80, Protocol::Http),
            (Some("something"), "http", 80, Protocol::Auto),
        ] {
            assert_eq!(Protocol::of_service_port(Some("TCP"), app, name, number), expected, "{app:?} {name}");
        }
        assert_eq!(Protocol::of_service_port(Some("UDP"), None, "http", 80), Protocol::Udp);
    }
}
