//! `host[:port]`: one grammar for what clients ask for and for what objects put in its place (RFC 3986 §3.2 without user
//! information, without percent-encoding, which host names do not have, and without the comma that joins several Host lines).

use std::net::Ipv6Addr;

use super::text;

text! {
    /// A host with or without port.
    Authority, |text| split(text).is_some(),
    "host[:port]: a name of letters, digits and -._~!$&'()*+;=, an IPv4 address or an IPv6 address in brackets, and a \
     port from 1 to 65535"
}

/// An authority in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPort<'a> {
    /// As written; an IPv6 address with its brackets.
    pub host: &'a [u8],
    /// `None` also where a colon without number follows the host, which names the default port.
    pub port: Option<u16>,
}

impl Authority {
    #[must_use]
    pub fn host_port(&self) -> HostPort<'_> {
        // The constructor has asked; without parts the text itself would be the host.
        split(self.as_bytes()).unwrap_or(HostPort { host: self.as_bytes(), port: None })
    }
}

/// Host and port; `None` for anything that is not `host[:port]`, the empty text included.
#[must_use]
pub fn split(authority: &[u8]) -> Option<HostPort<'_>> {
    parts(authority).filter(|parts| !parts.host.is_empty())
}

/// The same for texts that may have no host: `""` and `:80`.
#[must_use]
pub fn parts(authority: &[u8]) -> Option<HostPort<'_>> {
    let end = match authority {
        [b'[', rest @ ..] => {
            let close = rest.iter().position(|byte| *byte == b']')?;
            if !is_ipv6(&rest[..close]) {
                return None;
            }
            close + 2
        }
        name => name.iter().position(|byte| !is_name_byte(*byte)).unwrap_or(name.len()),
    };
    let (host, rest) = authority.split_at(end);
    let port = match rest {
        [] | [b':'] => None,
        [b':', digits @ ..] => Some(port(digits)?),
        _ => return None,
    };
    Some(HostPort { host, port })
}

/// Unreserved characters and sub-delimiters (RFC 3986 §3.2.2, reg-name).
const fn is_name_byte(byte: u8) -> bool {
    NAME_BYTES[byte as usize]
}

const NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let others = b"-._~!$&'()*+;=";
    let mut byte = 0;
    while byte < 128 {
        #[expect(clippy::cast_possible_truncation, reason = "below 128")]
        {
            table[byte] = (byte as u8).is_ascii_alphanumeric();
        }
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

/// An address without zone.
fn is_ipv6(text: &[u8]) -> bool {
    // Longer than any address is none; bytes outside of ASCII are no address.
    text.len() <= 45 && std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn port(digits: &[u8]) -> Option<u16> {
    if digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let port = digits.iter().fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    u16::try_from(port).ok().filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_come_apart() {
        for (text, host, port) in [
            ("a.test", "a.test", None),
            ("A_b.test:80", "A_b.test", Some(80)),
            ("a.test:", "a.test", None),
            ("a.test.:65535", "a.test.", Some(65535)),
            ("10.0.0.1:8080", "10.0.0.1", Some(8080)),
            ("[::1]", "[::1]", None),
            ("[::1]:", "[::1]", None),
            ("[2001:db8::1]:443", "[2001:db8::1]", Some(443)),
        ] {
            let expected = HostPort { host: host.as_bytes(), port };
            assert_eq!(split(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_has_a_second_reading_is_no_authority() {
        for text in [
            "",
            ":80",
            "a.test:x@evil.com",
            "user@a.test",
            "a.test:a b",
            "a.test:80/../x",
            "a.test:0",
            "a.test:65536",
            "a.test:+80",
            "a.test:80:80",
            "a.test/x",
            "a.test?x",
            "a.test#x",
            "a.test\\x",
            "a%2etest",
            "a.test\r\nx: y",
            "a.test\0",
            " a.test",
            "a.test ",
            "a\tb",
            "\u{e4}.test",
            "[::1",
            "[::1]x",
            "[::1%eth0]",
            "[a.test]",
            "::1",
            "[]",
            "a.test,b.test",
        ] {
            assert_eq!(split(text.as_bytes()), None, "{text:?}");
            assert!(Authority::try_from(text).is_err(), "{text:?}");
        }
    }
}
