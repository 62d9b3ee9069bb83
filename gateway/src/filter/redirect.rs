//! Redirects: of routes (docs/semantics.md §3.6), and of virtual hosts that want https (§2.5).

use crate::filter::headers::HeaderEdits;
use crate::proxy::head::RequestHead;
use crate::proxy::reply::Reply;

#[derive(Debug)]
pub(crate) struct Redirect {
    status: u16,
    path: Option<ir::RedirectPath>,
    authority: Option<Box<str>>,
    scheme: Option<Box<str>>,
    port: Option<u16>,
    edits: HeaderEdits,
}

impl Redirect {
    pub(crate) fn compile(redirect: &ir::Redirect) -> Self {
        let ir::Redirect { status, path, authority, scheme, port, edits } = redirect;
        Self {
            status: *status,
            path: path.clone(),
            authority: authority.as_deref().map(Into::into),
            scheme: scheme.as_deref().map(Into::into),
            port: *port,
            edits: HeaderEdits::compile(edits),
        }
    }

    pub(crate) fn reply(&self, request: &RequestHead) -> Reply<'_> {
        let mut reply = to(self.status, &self.location(request));
        reply.edits = Some(&self.edits);
        reply
    }

    fn location(&self, request: &RequestHead) -> Vec<u8> {
        let old_scheme = request.scheme();
        let scheme = self.scheme.as_deref().map_or(old_scheme, str::as_bytes);
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(scheme);
        out.extend_from_slice(b"://");
        let chosen = self.port.filter(|port| Some(*port) != default_port(scheme));
        let (host, port) = match &self.authority {
            Some(authority) => split(authority.as_bytes()),
            None => split(request.authority()),
        };
        out.extend_from_slice(host);
        match (chosen, port) {
            (Some(port), _) => {
                out.push(b':');
                out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
            }
            (None, Some(port)) => {
                let goes = self.authority.is_none()
                    && scheme != old_scheme
                    && std::str::from_utf8(port).ok().and_then(|port| port.parse().ok()) == default_port(old_scheme);
                if !goes {
                    out.push(b':');
                    out.extend_from_slice(port);
                }
            }
            (None, None) => {}
        }
        self.target(request, &mut out);
        out
    }

    fn target(&self, request: &RequestHead, out: &mut Vec<u8>) {
        match &self.path {
            None => out.extend_from_slice(request.target()),
            Some(path) => {
                let start = out.len();
                match path {
                    ir::RedirectPath::Full(text) => out.extend_from_slice(text.as_bytes()),
                    ir::RedirectPath::Prefix { matched, replacement } => {
                        out.extend_from_slice(replacement.as_bytes());
                        out.extend_from_slice(request.path().get(*matched..).unwrap_or_default());
                    }
                }
                let own_query = out[start..].contains(&b'?');
                if let (Some(query), false) = (request.query(), own_query) {
                    out.push(b'?');
                    out.extend_from_slice(query);
                }
            }
        }
    }
}

/// The reply of a host that wants https: the authority exactly as it was sent.
pub(crate) fn to_https(request: &RequestHead) -> Reply<'static> {
    let mut location = b"https://".to_vec();
    location.extend_from_slice(request.authority());
    location.extend_from_slice(request.target());
    to(301, &location)
}

fn to(status: u16, location: &[u8]) -> Reply<'static> {
    let mut reply = Reply::new(status, b"");
    reply.head.fields.push(b"location", location);
    reply
}

fn default_port(scheme: &[u8]) -> Option<u16> {
    match scheme {
        b"http" => Some(80),
        b"https" => Some(443),
        _ => None,
    }
}

/// Host and port of an authority.
fn split(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    match authority.iter().rposition(|byte| matches!(byte, b':' | b']')) {
        Some(at) if authority[at] == b':' => (&authority[..at], Some(&authority[at + 1..])),
        Some(_) | None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::head::{Fields, Protocol};

    fn location(redirect: ir::Redirect, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        let target = format!("/{path}");
        let request = RequestHead::new(
            Protocol::Http11,
            Fields::default(),
            b"GET",
            scheme.as_bytes(),
            host.as_bytes(),
            target.as_bytes(),
        );
        String::from_utf8(Redirect::compile(&redirect).location(&request)).unwrap()
    }

    fn redirect(set: impl FnOnce(&mut ir::Redirect)) -> ir::Redirect {
        let mut it = ir::Redirect {
            status: 301,
            path: None,
            authority: None,
            scheme: None,
            port: None,
            edits: ir::HeaderEdits::default(),
        };
        set(&mut it);
        it
    }

    #[test]
    fn the_location_keeps_what_is_not_replaced() {
        let scheme = |text: &'static str| move |it: &mut ir::Redirect| it.scheme = Some(text.into());
        let port = |port| move |it: &mut ir::Redirect| it.port = Some(port);
        let full =
            |text: &'static str| move |it: &mut ir::Redirect| it.path = Some(ir::RedirectPath::Full(text.into()));
        let authority = |text: &'static str| move |it: &mut ir::Redirect| it.authority = Some(text.into());
        for (redirect, url, expected) in [
            (redirect(port(80)), "http://shop.test:18080/a", "http://shop.test:18080/a"),
            (redirect(port(8080)), "http://shop.test/a", "http://shop.test:8080/a"),
            (redirect(full("/new")), "http://shop.test:18080/a?q", "http://shop.test:18080/new?q"),
            (redirect(full("/new?own")), "http://shop.test/a?q", "http://shop.test/new?own"),
            (redirect(scheme("https")), "http://shop.test:80/", "https://shop.test/"),
            (redirect(scheme("https")), "http://shop.test:443/", "https://shop.test:443/"),
            (redirect(scheme("http")), "http://shop.test:80/", "http://shop.test:80/"),
            (redirect(authority("b.test")), "http://shop.test:80/x", "http://b.test/x"),
            (redirect(authority("b.test:81")), "http://shop.test/x", "http://b.test:81/x"),
            (
                redirect(|it| {
                    it.path = Some(ir::RedirectPath::Prefix { matched: 4, replacement: "/new".into() });
                }),
                "http://shop.test/old/x?q",
                "http://shop.test/new/x?q",
            ),
        ] {
            assert_eq!(location(redirect, url), expected, "{url}");
        }
    }
}
