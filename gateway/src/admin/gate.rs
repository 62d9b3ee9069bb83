//! Who may ask the admin port for what (docs/security.md, C-12). Reading needs a connection from this machine that no
//! foreign page made; changing anything needs the admin socket, which the file system guards, or a token.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName};
use sha2::{Digest as _, Sha256};

/// A token's file of more bytes than this is none.
const MAX_TOKEN: u64 = 4096;
/// What browsers say of where a request comes from.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// Over TCP, to this address.
    Port(SocketAddr),
    /// Over the unix socket, by a user who may open it.
    Socket,
}

/// Why a question is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    #[error("the Host of a request to this port is localhost or an address of this machine")]
    Host,
    #[error("requests of foreign pages are not answered")]
    Origin,
    #[error(
        "what changes something needs the admin socket (--admin-socket; in a pod: `sluice-gateway admin --post PATH`) or \
         the token of --admin-token-file"
    )]
    Change,
}

/// Judges questions.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    /// Holds the token by which changes may be asked for over TCP.
    pub(super) token: Option<PathBuf>,
}

impl Gate {
    /// Whether a question may be answered; `changes`: the answer would change something.
    pub(super) fn judge(&self, via: Via, headers: &HeaderMap, changes: bool) -> Result<(), Denied> {
        let Via::Port(bound) = via else { return Ok(()) };
        let mut hosts = headers.get_all(HOST).iter();
        // HTTP/1.0 may have none; a page cannot make a browser leave it out.
        let here = hosts.next().is_none_or(|host| host.to_str().is_ok_and(|host| is_here(host, bound.ip())));
        if !here || hosts.next().is_some() {
            return Err(Denied::Host);
        }
        for origin in headers.get_all(ORIGIN) {
            let here = origin.to_str().ok().and_then(|it| it.strip_prefix("http://"));
            if !here.is_some_and(|host| is_here(host, bound.ip())) {
                return Err(Denied::Origin);
            }
        }
        if headers.get(FETCH_SITE).is_some_and(|site| site != "none" && site != "same-origin") {
            return Err(Denied::Origin);
        }
        if changes && !self.has_token(headers) { Err(Denied::Change) } else { Ok(()) }
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let Some(expected) = self.token.as_ref().and_then(|path| read_token(path)) else { return false };
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        // Digests, so that the time it takes says nothing of the token.
        given.is_some_and(|given| Sha256::digest(given.trim()) == Sha256::digest(expected.trim()))
    }
}

/// Read anew for each question that needs it: it may be replaced at any time.
fn read_token(path: &std::path::Path) -> Option<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(MAX_TOKEN).read_to_string(&mut text).ok()?;
    (!text.trim().is_empty()).then_some(text)
}

/// Whether a Host means this machine and no name that anything but itself resolves.
fn is_here(host: &str, bound: IpAddr) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if host.contains('@') {
        return false;
    }
    let name = authority.host().trim_matches(['[', ']']);
    match name.parse::<IpAddr>() {
        // Bound to every address, each of them is meant.
        Ok(ip) => ip.is_loopback() || ip == bound || bound.is_unspecified(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(gate: &Gate, bound: &str, fields: &[(&str, &str)], changes: bool) -> Option<Denied> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        gate.judge(Via::Port(bound.parse().unwrap()), &headers, changes).err()
    }

    #[test]
    fn foreign_hosts_and_pages_are_refused() {
        let gate = Gate::default();
        for (bound, fields, expected) in [
            ("127.0.0.1:15000", &[][..], None),
            ("127.0.0.1:15000", &[("host", "localhost:15000")], None),
            ("127.0.0.1:15000", &[("host", "LOCALHOST")], None),
            ("127.0.0.1:15000", &[("host", "127.0.0.1:15000")], None),
            ("127.0.0.1:15000", &[("host", "[::1]:15000")], None),
            ("127.0.0.1:15000", &[("host", "evil.test")], Some(Denied::Host)),
            ("127.0.0.1:15000", &[("host", "localhost.evil.test:15000")], Some(Denied::Host)),
            ("127.0.0.1:15000", &[("host", "evil@localhost")], Some(Denied::Host)),
            ("127.0.0.1:15000", &[("host", "localhost"), ("host", "evil.test")], Some(Denied::Host)),
            ("127.0.0.1:15000", &[("host", "10.0.0.1")], Some(Denied::Host)),
            ("127.0.0.1:15000", &[("host", "")], Some(Denied::Host)),
            ("10.0.0.1:15000", &[("host", "10.0.0.1:15000")], None),
            ("0.0.0.0:15000", &[("host", "10.0.0.1:15000")], None),
            ("0.0.0.0:15000", &[("host", "evil.test")], Some(Denied::Host)),
            ("127.0.0.1:15000", &[("host", "localhost"), ("origin", "http://localhost:15000")], None),
            ("127.0.0.1:15000", &[("host", "localhost"), ("origin", "http://evil.test")], Some(Denied::Origin)),
            ("127.0.0.1:15000", &[("host", "localhost"), ("origin", "null")], Some(Denied::Origin)),
            ("127.0.0.1:15000", &[("host", "localhost"), ("sec-fetch-site", "cross-site")], Some(Denied::Origin)),
        ] {
            assert_eq!(judged(&gate, bound, fields, false), expected, "{bound} {fields:?}");
        }
    }

    #[test]
    fn changes_need_the_socket_or_the_token() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "sesame\n").unwrap();
        let gate = Gate { token: Some(file.path().to_owned()) };
        let with = |token| judged(&gate, "127.0.0.1:1", &[("host", "localhost"), ("authorization", token)], true);
        assert_eq!(with("Bearer sesame"), None);
        for token in ["Bearer sesam", "Bearer ", "sesame", "Basic sesame", "Bearer sesame2"] {
            assert_eq!(with(token), Some(Denied::Change), "{token}");
        }
        std::fs::write(file.path(), "\n").unwrap();
        assert_eq!(with("Bearer "), Some(Denied::Change));
        let without = Gate::default();
        assert_eq!(judged(&without, "127.0.0.1:1", &[("authorization", "Bearer ")], true), Some(Denied::Change));
        assert_eq!(without.judge(Via::Socket, &HeaderMap::new(), true), Ok(()));
    }
}
