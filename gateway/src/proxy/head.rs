//! Request and response heads in the one form that routing, filters and both codecs share: bytes in one buffer and
//! spans into it. Reading takes no allocation, an edit appends.
//!
//! Neither pingora's nor `http`'s header types appear outside the codecs (docs/architecture: D13).

use std::ops::Range;

/// A piece of the head's buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Fields that the proxy itself looks at, so that a look-up compares one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FieldId {
    Other,
    Host,
    Connection,
    ContentLength,
    ContentType,
    TransferEncoding,
    KeepAlive,
    ProxyConnection,
    ProxyAuthenticate,
    ProxyAuthorization,
    Te,
    Trailer,
    Upgrade,
    Http2Settings,
    Expect,
    Date,
    Server,
    UserAgent,
    RequestId,
    ForwardedFor,
    ForwardedProto,
    ForwardedClientCert,
    GrpcTimeout,
    GrpcStatus,
    /// Any other `x-envoy-…`.
    Envoy,
}

impl FieldId {
    /// `name` in lower case.
    pub(crate) fn of(name: &[u8]) -> Self {
        match name {
            b"host" => Self::Host,
            b"connection" => Self::Connection,
            b"content-length" => Self::ContentLength,
            b"content-type" => Self::ContentType,
            b"transfer-encoding" => Self::TransferEncoding,
            b"keep-alive" => Self::KeepAlive,
            b"proxy-connection" => Self::ProxyConnection,
            b"proxy-authenticate" => Self::ProxyAuthenticate,
            b"proxy-authorization" => Self::ProxyAuthorization,
            b"te" => Self::Te,
            b"trailer" => Self::Trailer,
            b"upgrade" => Self::Upgrade,
            b"http2-settings" => Self::Http2Settings,
            b"expect" => Self::Expect,
            b"date" => Self::Date,
            b"server" => Self::Server,
            b"user-agent" => Self::UserAgent,
            b"x-request-id" => Self::RequestId,
            b"x-forwarded-for" => Self::ForwardedFor,
            b"x-forwarded-proto" => Self::ForwardedProto,
            b"x-forwarded-client-cert" => Self::ForwardedClientCert,
            b"grpc-timeout" => Self::GrpcTimeout,
            b"grpc-status" => Self::GrpcStatus,
            _ if name.starts_with(b"x-envoy-") => Self::Envoy,
            _ => Self::Other,
        }
    }

    /// Fields that concern one connection only and never pass (RFC 9110 §7.6.1).
    pub(crate) fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::TransferEncoding
                | Self::Upgrade
                | Self::Http2Settings
        )
    }
}

#[derive(Clone, Copy, Debug)]
struct Field {
    id: FieldId,
    name: Span,
    value: Span,
}

/// Header fields in their order. Names are lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    bytes: Vec<u8>,
    list: Vec<Field>,
    /// Something did not fit.
    overflown: bool,
}

/// Bytes that a head's buffer may hold, what was replaced included. Heads are limited to far less; this bound keeps a span
/// an index, whatever those limits are set to.
const MAX_BUFFER: usize = 1 << 30;

impl Fields {
    pub(crate) fn with_capacity(bytes: usize, fields: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), list: Vec::with_capacity(fields), overflown: false }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Keeps `text` in the buffer, outside of any field.
    pub(crate) fn keep(&mut self, text: &[u8]) -> Span {
        if !self.fits(text.len()) {
            return Span::default();
        }
        let start = self.position();
        self.bytes.extend_from_slice(text);
        Span { start, end: self.position() }
    }

    pub(crate) fn text(&self, span: Span) -> &[u8] {
        &self.bytes[span.range()]
    }

    fn position(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    fn fits(&mut self, more: usize) -> bool {
        let fits = self.bytes.len().saturating_add(more) <= MAX_BUFFER;
        self.overflown |= !fits;
        fits
    }

    /// Whether a part was left out because the buffer is full: such a head is not to be sent.
    pub(crate) fn is_overflown(&self) -> bool {
        self.overflown
    }

    /// Bytes of all lines as they are written in HTTP/1.1.
    pub(crate) fn size(&self) -> usize {
        let length = |span: Span| span.range().len();
        self.list.iter().map(|field| length(field.name) + length(field.value) + 4).sum()
    }

    /// Adds a line at the end, its name turned to lower case.
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        if !self.fits(name.len() + value.len()) {
            return;
        }
        let start = self.position();
        self.bytes.extend(name.iter().map(u8::to_ascii_lowercase));
        let middle = self.position();
        self.bytes.extend_from_slice(value);
        let end = self.position();
        let name = Span { start, end: middle };
        let id = FieldId::of(self.text(name));
        self.list.push(Field { id, name, value: Span { start: middle, end } });
    }

    /// The first line of that field.
    pub(crate) fn get(&self, id: FieldId) -> Option<&[u8]> {
        self.list.iter().find(|field| field.id == id).map(|field| self.text(field.value))
    }

    /// All lines of that field.
    pub(crate) fn all(&self, id: FieldId) -> impl Iterator<Item = &[u8]> {
        self.list.iter().filter(move |field| field.id == id).map(|field| self.text(field.value))
    }

    pub(crate) fn has(&self, id: FieldId) -> bool {
        self.list.iter().any(|field| field.id == id)
    }

    /// All lines of that name, which is in lower case.
    pub(crate) fn named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.list.iter().filter(move |field| self.text(field.name) == name).map(|field| self.text(field.value))
    }

    pub(crate) fn remove(&mut self, id: FieldId) {
        self.list.retain(|field| field.id != id);
    }

    /// `name` in lower case.
    pub(crate) fn remove_named(&mut self, name: &[u8]) {
        let bytes = &self.bytes;
        self.list.retain(|field| &bytes[field.name.range()] != name);
    }

    /// Replaces every line of that name by one; it takes the place of the first.
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) {
        let mut at = None;
        for (index, field) in self.list.iter().enumerate() {
            if self.text(field.name) == name {
                at = Some(index);
                break;
            }
        }
        let Some(at) = at else { return self.push(name, value) };
        let value = self.keep(value);
        self.list[at].value = value;
        let (bytes, name) = (&self.bytes, self.list[at].name.range());
        let mut index = 0;
        self.list.retain(|field| {
            index += 1;
            index <= at + 1 || bytes[field.name.range()] != bytes[name.clone()]
        });
    }

    /// Keeps the lines for which `keep` (identity, name, value) holds.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(FieldId, &[u8], &[u8]) -> bool) {
        let bytes = &self.bytes;
        self.list.retain(|field| keep(field.id, &bytes[field.name.range()], &bytes[field.value.range()]));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (FieldId, &[u8], &[u8])> {
        self.list.iter().map(|field| (field.id, self.text(field.name), self.text(field.value)))
    }
}

/// What the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http11,
    Http2,
}

impl Protocol {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// A request head.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    pub(crate) protocol: Protocol,
    pub(crate) fields: Fields,
    method: Span,
    scheme: Span,
    authority: Span,
    target: Span,
    /// Bytes of `target` before the `?`.
    path_length: usize,
}

impl RequestHead {
    /// `target` is path and query.
    pub(crate) fn new(
        protocol: Protocol,
        mut fields: Fields,
        method: &[u8],
        scheme: &[u8],
        authority: &[u8],
        target: &[u8],
    ) -> Self {
        let (method, scheme, authority) = (fields.keep(method), fields.keep(scheme), fields.keep(authority));
        let mut head = Self { protocol, fields, method, scheme, authority, target: Span::default(), path_length: 0 };
        head.set_target(target);
        head
    }

    pub(crate) fn method(&self) -> &[u8] {
        self.fields.text(self.method)
    }

    pub(crate) fn scheme(&self) -> &[u8] {
        self.fields.text(self.scheme)
    }

    pub(crate) fn authority(&self) -> &[u8] {
        self.fields.text(self.authority)
    }

    /// Path and query.
    pub(crate) fn target(&self) -> &[u8] {
        self.fields.text(self.target)
    }

    pub(crate) fn path(&self) -> &[u8] {
        &self.target()[..self.path_length]
    }

    /// What follows the `?`, where there is one.
    pub(crate) fn query(&self) -> Option<&[u8]> {
        self.target().get(self.path_length + 1..)
    }

    pub(crate) fn set_target(&mut self, target: &[u8]) {
        self.target = self.fields.keep(target);
        self.path_length = memchr::memchr(b'?', target).unwrap_or(target.len());
    }

    /// Bytes of the head as it is written in HTTP/1.1.
    pub(crate) fn size(&self) -> usize {
        self.method().len() + self.target().len() + self.authority().len() + self.fields.size()
    }

    pub(crate) fn set_scheme(&mut self, scheme: &[u8]) {
        self.scheme = self.fields.keep(scheme);
    }

    pub(crate) fn set_authority(&mut self, authority: &[u8]) {
        self.authority = self.fields.keep(authority);
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method() == b"HEAD"
    }

    /// Whether replies take gRPC's form (docs/semantics.md §21).
    pub(crate) fn is_grpc(&self) -> bool {
        self.fields.get(FieldId::ContentType).is_some_and(|value| {
            value.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
        })
    }

    /// Whether the client asks for a WebSocket. Only such an upgrade passes.
    pub(crate) fn is_websocket(&self) -> bool {
        self.protocol == Protocol::Http11
            && self.fields.get(FieldId::Upgrade).is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
            && self.fields.all(FieldId::Connection).any(|value| list_contains(value, b"upgrade"))
    }
}

impl router::RequestView for RequestHead {
    fn method(&self) -> &[u8] {
        Self::method(self)
    }

    fn scheme(&self) -> &[u8] {
        Self::scheme(self)
    }

    fn authority(&self) -> &[u8] {
        Self::authority(self)
    }

    fn path(&self) -> &[u8] {
        Self::path(self)
    }

    fn path_and_query(&self) -> &[u8] {
        self.target()
    }

    fn query(&self) -> Option<&[u8]> {
        Self::query(self)
    }

    fn any_header(&self, name: &str, f: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.fields.named(name.as_bytes()).any(f)
    }

    fn has_header(&self, name: &str) -> bool {
        self.fields.named(name.as_bytes()).next().is_some()
    }
}

/// A response head.
#[derive(Clone, Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
}

impl ResponseHead {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, fields: Fields::with_capacity(256, 12) }
    }
}

/// Whether a comma-separated list names `token`, in any case.
pub(crate) fn list_contains(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn shown(fields: &Fields) -> String {
        let lines: Vec<_> = fields
            .iter()
            .map(|(_, name, value)| format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
            .collect();
        lines.join(" ")
    }

    #[test]
    fn set_leaves_one_line_in_the_first_place() {
        let mut it = fields(&[("X-A", "1"), ("x-b", "2"), ("x-a", "3"), ("x-c", "4")]);
        it.set(b"x-a", b"new");
        assert_eq!(shown(&it), "x-a=new x-b=2 x-c=4");
        it.set(b"x-d", b"5");
        it.remove_named(b"x-b");
        assert_eq!(shown(&it), "x-a=new x-c=4 x-d=5");
    }

    #[test]
    fn a_target_comes_apart_at_the_first_question_mark() {
        let mut head = RequestHead::new(Protocol::Http11, Fields::default(), b"GET", b"http", b"a.test", b"/x?a=1?b");
        assert_eq!((head.path(), head.query()), (&b"/x"[..], Some(&b"a=1?b"[..])));
        head.set_target(b"/y");
        assert_eq!((head.path(), head.query()), (&b"/y"[..], None));
        assert_eq!(head.authority(), b"a.test");
    }

    #[test]
    fn grpc_is_told_by_content_type() {
        for (value, is) in
            [("application/grpc", true), ("application/grpc+proto", true), ("application/grpc-web", false)]
        {
            let head =
                RequestHead::new(Protocol::Http2, fields(&[("content-type", value)]), b"POST", b"http", b"a", b"/");
            assert_eq!(head.is_grpc(), is, "{value}");
        }
    }
}
