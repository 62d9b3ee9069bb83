//! Redirects: of routes (docs/semantics.md §3.6), and of virtual hosts that want https (§2.5).

use ir::text::HostPort;

use crate::filter::headers::HeaderEdits;
use crate::proxy::head::RequestHead;
use crate::proxy::reply::Reply;

#[derive(Debug)]
pub(crate) struct Redirect {
    status: u16,
    path: Option<ir::RedirectPath>,
    authority: Option<ir::Authority>,
    scheme: Option<ir::Scheme>,
    port: Option<u16>,
    edits: HeaderEdits,
}

impl Redirect {
    pub(crate) fn compile(redirect: &ir::Redirect) -> Self {
        let ir::Redirect { status, path, authority, scheme, port, edits } = redirect;
        Self {
            status: status.get(),
            path: path.clone(),
            authority: authority.clone(),
            scheme: *scheme,
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
        let old_scheme = scheme_of(request);
        let scheme = self.scheme.unwrap_or(old_scheme);
        let chosen = self.port.filter(|port| *port != scheme.default_port());
        let HostPort { host, port } = match &self.authority {
            Some(authority) => authority.host_port(),
            None => host_of(request),
        };
        let goes = self.authority.is_none() && scheme != old_scheme && port == Some(old_scheme.default_port());
        let mut out = origin(scheme, HostPort { host, port: chosen.or(port.filter(|_| !goes)) });
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
                        let rest = request.path().get(*matched..).unwrap_or_default();
                        // What follows the host without a slash would be read as a part of it.
                        if replacement.as_bytes().iter().chain(rest).next() != Some(&b'/') {
                            out.push(b'/');
                        }
                        out.extend_from_slice(replacement.as_bytes());
                        out.extend_from_slice(rest);
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

/// The reply of a host that wants https, at the port that was asked for.
pub(crate) fn to_https(request: &RequestHead) -> Reply<'static> {
    let mut location = origin(ir::Scheme::Https, host_of(request));
    location.extend_from_slice(request.target());
    to(301, &location)
}

/// The URL that was asked for.
pub(crate) fn url_of(request: &RequestHead) -> Vec<u8> {
    let mut url = origin(scheme_of(request), host_of(request));
    url.extend_from_slice(request.target());
    url
}

/// The part of a URL before the path.
fn origin(scheme: ir::Scheme, HostPort { host, port }: HostPort<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(scheme.as_str().as_bytes());
    out.extend_from_slice(b"://");
    out.extend_from_slice(host);
    if let Some(port) = port {
        out.push(b':');
        out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
    }
    out
}

/// The scheme that the request is believed to have.
fn scheme_of(request: &RequestHead) -> ir::Scheme {
    if request.scheme() == b"https" { ir::Scheme::Https } else { ir::Scheme::Http }
}

/// Host and port that the request is for; what is no authority was refused before any route was looked at.
fn host_of(request: &RequestHead) -> HostPort<'_> {
    ir::text::split(request.authority()).unwrap_or(HostPort { host: b"", port: None })
}

fn to(status: u16, location: &[u8]) -> Reply<'static> {
    let mut reply = Reply::new(status, b"");
    reply.head.fields.push(b"location", location);
    reply
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
            status: ir::RedirectStatus::MOVED_PERMANENTLY,
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
        let scheme = |text: &'static str| move |it: &mut ir::Redirect| it.scheme = Some(text.try_into().unwrap());
        let port = |port| move |it: &mut ir::Redirect| it.port = Some(port);
        let full = |text: &'static str| {
            move |it: &mut ir::Redirect| it.path = Some(ir::RedirectPath::Full(text.try_into().unwrap()))
        };
        let authority = |text: &'static str| move |it: &mut ir::Redirect| it.authority = Some(text.try_into().unwrap());
        let prefix = |matched: usize, text: &'static str| {
            move |it: &mut ir::Redirect| {
                let replacement = text.try_into().unwrap();
                it.path = Some(ir::RedirectPath::Prefix { matched, replacement });
            }
        };
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
            (redirect(prefix(4, "/new")), "http://shop.test/old/x?q", "http://shop.test/new/x?q"),
            // No text of a client or an object becomes a part of the host.
            (redirect(prefix(5, "")), "http://shop.test/old/@evil.com/", "http://shop.test/@evil.com/"),
            (redirect(prefix(1, "x")), "http://shop.test/@evil.com/", "http://shop.test/x@evil.com/"),
            (redirect(prefix(4, "")), "http://shop.test/old", "http://shop.test/"),
            (redirect(full("/new")), "http://shop.test:/a", "http://shop.test/new"),
        ] {
            assert_eq!(location(redirect, url), expected, "{url}");
        }
    }
}
