//! What controllers push in these tests.

use ir::{CertificateSource, Chain, Encoded, Key, Kind, Resource, RouteAction};

/// A listener on a free port whose requests go to the table.
pub(crate) fn listener() -> Encoded {
    ir::codec::encode(&Resource::Listener(ir::Listener {
        name: "http".into(),
        bind: ir::Bind::Address("127.0.0.1:0".parse().unwrap()),
        created: 0,
        plaintext: Some(Chain::Http { table: "table".into() }),
        tls: Vec::new(),
    }))
}

/// One with TLS by a secret.
pub(crate) fn https_listener() -> Encoded {
    ir::codec::encode(&Resource::Listener(ir::Listener {
        name: "https".into(),
        bind: ir::Bind::Address("127.0.0.1:0".parse().unwrap()),
        created: 0,
        plaintext: None,
        tls: vec![ir::TlsChain {
            sni: vec!["shop.test".into()],
            tls: ir::ServerTls {
                certificates: vec![CertificateSource::Secret("kubernetes://shop".into())],
                min_version: ir::TlsVersion::V1_2,
                max_version: ir::TlsVersion::V1_3,
                cipher_suites: Vec::new(),
            },
            chain: Chain::Http { table: "table".into() },
        }],
    }))
}

pub(crate) fn secret((certificate, key): (String, String)) -> Encoded {
    ir::codec::encode(&Resource::Secret(ir::Secret {
        name: "kubernetes://shop".into(),
        certificate_chain: certificate,
        private_key: ir::PrivateKey::from(key),
    }))
}

pub(crate) fn table() -> Encoded {
    ir::codec::encode(&Resource::RouteTable(ir::RouteTable {
        name: "table".into(),
        https_redirect: Vec::new(),
        namespaces_apart: false,
    }))
}

/// Requests for `<name>.test` are answered with this status.
pub(crate) fn group(name: &str, status: u16) -> Encoded {
    group_for(name, status, None)
}

/// One that no proxy can use.
pub(crate) fn broken_group(name: &str) -> Encoded {
    group_for(name, 200, Some("[z-a]"))
}

fn group_for(name: &str, status: u16, regex: Option<&str>) -> Encoded {
    let route = ir::Route {
        name: String::new(),
        matches: ir::RouteMatch {
            path: regex.map(|pattern| ir::PathMatch::Regex { pattern: pattern.to_owned() }),
            ..ir::RouteMatch::default()
        },
        catch_all: false,
        plaintext: false,
        action: RouteAction::DirectResponse(ir::DirectResponse {
            status: status.try_into().unwrap(),
            body: None,
            edits: ir::HeaderEdits::default(),
        }),
    };
    ir::codec::encode(&Resource::RouteGroup(ir::RouteGroup {
        name: name.to_owned(),
        precedence: ir::Precedence { tier: 2, created: 0, name: name.to_owned(), namespace: "shop".to_owned() },
        bindings: vec![ir::Binding {
            table: "table".into(),
            server: ir::ServerRank { created: 0, name: "gate".to_owned(), namespace: "edge".to_owned(), index: 0 },
            hosts: vec![format!("{name}.test").into()],
            https_redirect: false,
            routes: 0,
        }],
        route_lists: vec![vec![route]],
    }))
}

/// Everything that `shop.test` needs to be answered with 299.
pub(crate) fn shop() -> Vec<Encoded> {
    vec![listener(), table(), group("shop", 299)]
}

pub(crate) fn key(kind: Kind, name: &str) -> Key {
    Key { kind, name: name.into() }
}
