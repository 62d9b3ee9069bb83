//! A request written down: `GET http://a.test:80/path?k=v | x-user: a | x-user: b`.

use std::fmt;

use router::RequestView;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: Vec<u8>,
    pub(crate) scheme: Vec<u8>,
    pub(crate) authority: Vec<u8>,
    pub(crate) target: Vec<u8>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Request {
    /// Scheme and authority are `http://a.test` unless given. `\xHH` stands for a byte.
    pub(crate) fn parse(text: &str) -> Self {
        let mut parts = text.split('|').map(str::trim);
        let (method, target) = parts.next().and_then(|line| line.split_once(' ')).expect("method and target");
        let (scheme, rest) = target.split_once("://").unwrap_or(("http", target));
        let (authority, path) =
            if target.starts_with('/') { ("a.test", target) } else { rest.split_at(rest.find('/').expect("a path")) };
        let headers = parts.map(|line| {
            let (name, value) = line.split_once(':').expect("name: value");
            (name.to_owned(), unescape(value.trim()))
        });
        Self {
            method: unescape(method),
            scheme: unescape(scheme),
            authority: unescape(authority),
            target: unescape(path.trim()),
            headers: headers.collect(),
        }
    }
}

impl RequestView for Request {
    fn method(&self) -> &[u8] {
        &self.method
    }

    fn scheme(&self) -> &[u8] {
        &self.scheme
    }

    fn authority(&self) -> &[u8] {
        &self.authority
    }

    fn path(&self) -> &[u8] {
        self.target.split(|byte| *byte == b'?').next().unwrap_or_default()
    }

    fn path_and_query(&self) -> &[u8] {
        &self.target
    }

    fn query(&self) -> Option<&[u8]> {
        self.target.splitn(2, |byte| *byte == b'?').nth(1)
    }

    fn any_header(&self, name: &str, f: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.headers.iter().filter(|(of, _)| of.eq_ignore_ascii_case(name)).any(|(_, value)| f(value))
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, scheme, authority, target, headers } = self;
        write!(
            f,
            "{} {}://{}{}",
            method.escape_ascii(),
            scheme.escape_ascii(),
            authority.escape_ascii(),
            target.escape_ascii()
        )?;
        headers.iter().try_for_each(|(name, value)| write!(f, " | {name}: {}", value.escape_ascii()))
    }
}

pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut parts = text.split(r"\x");
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two hexadecimal digits"));
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}
