//! Heads of requests and responses. Bytes in, a head or a refusal out; no IO.

use memchr::memmem;

use crate::proxy::head::{FieldId, Fields, Protocol, RequestHead, ResponseHead};

/// Bounds of a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    pub(crate) bytes: usize,
    pub(crate) fields: usize,
}

/// httparse needs its slots up front, and they cost to make: nearly every head does with few. More lines than the larger
/// number are refused even where the limit is set higher.
const FEW_FIELDS: usize = 40;
const MAX_FIELDS: usize = 256;

/// What the first bytes of a connection turned out to be.
#[derive(Debug)]
pub(crate) enum Parsed<T> {
    /// More bytes are needed.
    Partial,
    /// A message head of that many bytes.
    Head(T, usize),
}

/// Why a request is refused before there is one. The connection is closed afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("malformed request")]
    Malformed,
    #[error("HTTP version is not 1.1")]
    Version,
    #[error("request head is too large")]
    TooLarge,
    #[error("an https target on a plaintext connection")]
    SchemeMismatch,
    #[error("request head was not complete in time")]
    Timeout,
    #[error("expectation cannot be met")]
    Expectation,
}

/// How long the body is (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
    /// Responses only: to the end of the connection.
    UntilClose,
}

/// A request as it came, with what its head says about the connection.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) head: RequestHead,
    pub(crate) framing: Framing,
    /// The client wants the connection closed after the response.
    pub(crate) close: bool,
}

/// Reads a request head. `scheme` is that of the connection.
pub(crate) fn request(bytes: &[u8], limits: HeadLimits, scheme: &'static [u8]) -> Result<Parsed<Request>, Refusal> {
    // RFC 9112 §2.2: one empty line before the request line is ignored.
    let lead = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let bytes = &bytes[lead..];
    let within = &bytes[..bytes.len().min(limits.bytes)];
    let partial = |bytes: &[u8]| if bytes.len() > limits.bytes { Err(Refusal::TooLarge) } else { Ok(Parsed::Partial) };
    // What is wrong is judged in the order of the bytes, so that the verdict does not depend on how they were cut.
    let Some(end) = line_end(within, 0).map_err(|BareLineEnd| Refusal::Malformed)? else { return partial(bytes) };
    let line = &within[..end];
    let (method, target) = request_line(line)?;
    let Some(length) = head_end(within, end + 2).map_err(|BareLineEnd| Refusal::Malformed)? else {
        return partial(bytes);
    };
    let head = &within[..length];

    let fields = fields_of(&head[line.len() + 2..], limits.fields, 256)?;

    let framing = request_framing(&fields)?;
    let close = fields.all(FieldId::Connection).any(|value| crate::proxy::head::list_contains(value, b"close"));
    if fields.all(FieldId::Expect).any(|value| !value.eq_ignore_ascii_case(b"100-continue")) {
        return Err(Refusal::Expectation);
    }
    let head = target_form(fields, method, target, scheme)?;
    Ok(Parsed::Head(Request { head, framing, close }, lead + length))
}

/// Methods that pass; others are refused (docs/semantics.md §2.6).
const METHODS: &[&[u8]] = &[
    b"GET",
    b"POST",
    b"PUT",
    b"DELETE",
    b"HEAD",
    b"OPTIONS",
    b"PATCH",
    b"CONNECT",
    b"TRACE",
    b"ACL",
    b"BIND",
    b"CHECKOUT",
    b"COPY",
    b"LINK",
    b"LOCK",
    b"MERGE",
    b"MKACTIVITY",
    b"MKCALENDAR",
    b"MKCOL",
    b"MOVE",
    b"NOTIFY",
    b"PROPFIND",
    b"PROPPATCH",
    b"PURGE",
    b"REBIND",
    b"REPORT",
    b"SEARCH",
    b"SOURCE",
    b"SUBSCRIBE",
    b"UNBIND",
    b"UNLINK",
    b"UNLOCK",
    b"UNSUBSCRIBE",
];

/// Method and target of a request line `METHOD SP TARGET SP HTTP/1.1`.
fn request_line(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (method, target, version) = (parts.next(), parts.next(), parts.next());
    let (Some(method), Some(target)) = (method, target) else { return Err(Refusal::Malformed) };
    if parts.next().is_some() || !METHODS.contains(&method) {
        return Err(Refusal::Malformed);
    }
    let Some(version) = version else { return Err(Refusal::Version) };
    if version != b"HTTP/1.1" {
        let shape = version.len() == 8 && version.starts_with(b"HTTP/") && version[6] == b'.';
        let digits = shape && version[5].is_ascii_digit() && version[7].is_ascii_digit();
        return Err(if digits { Refusal::Version } else { Refusal::Malformed });
    }
    if target.is_empty() || target.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Err(Refusal::Malformed);
    }
    Ok((method, target))
}

/// A CR or LF that is not part of a CRLF: it ends a line for some parsers and not for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BareLineEnd;

/// Where the line that starts at `from` ends; `None` while its CRLF has not come.
fn line_end(bytes: &[u8], from: usize) -> Result<Option<usize>, BareLineEnd> {
    let Some(offset) = memchr::memchr2(b'\r', b'\n', &bytes[from..]) else { return Ok(None) };
    let at = from + offset;
    match (bytes[at], bytes.get(at + 1)) {
        (b'\r', Some(b'\n')) => Ok(Some(at)),
        (b'\r', None) => Ok(None),
        _ => Err(BareLineEnd),
    }
}

/// Length of a head whose lines of fields start at `from`; `None` while its empty line has not come.
fn head_end(bytes: &[u8], mut from: usize) -> Result<Option<usize>, BareLineEnd> {
    loop {
        match line_end(bytes, from)? {
            None => return Ok(None),
            Some(at) if at == from => return Ok(Some(at + 2)),
            Some(at) => from = at + 2,
        }
    }
}

/// The lines of a head, with `spare` bytes of room for more.
fn fields_of(bytes: &[u8], limit: usize, spare: usize) -> Result<Fields, Refusal> {
    let mut few = [httparse::EMPTY_HEADER; FEW_FIELDS];
    match httparse::parse_headers(bytes, &mut few) {
        Err(httparse::Error::TooManyHeaders) => {
            let mut many = vec![httparse::EMPTY_HEADER; MAX_FIELDS];
            taken(httparse::parse_headers(bytes, &mut many), limit, bytes.len() + spare)
        }
        parsed => taken(parsed, limit, bytes.len() + spare),
    }
}

fn taken(
    parsed: httparse::Result<(usize, &[httparse::Header<'_>])>,
    limit: usize,
    capacity: usize,
) -> Result<Fields, Refusal> {
    match parsed {
        Ok(httparse::Status::Complete((_, lines))) if lines.len() <= limit => {
            let mut fields = Fields::with_capacity(capacity, lines.len() + 12);
            for line in lines {
                fields.push(line.name.as_bytes(), line.value);
            }
            Ok(fields)
        }
        Ok(httparse::Status::Complete(_)) | Err(httparse::Error::TooManyHeaders) => Err(Refusal::TooLarge),
        Ok(httparse::Status::Partial) | Err(_) => Err(Refusal::Malformed),
    }
}

fn request_framing(fields: &Fields) -> Result<Framing, Refusal> {
    let mut encodings = fields.all(FieldId::TransferEncoding);
    let length = declared_length(fields.all(FieldId::ContentLength)).map_err(|BadLength| Refusal::Malformed)?;
    match (encodings.next(), length) {
        (None, None | Some(0)) => Ok(Framing::None),
        (None, Some(length)) => Ok(Framing::Length(length)),
        (Some(encoding), None) if encoding.eq_ignore_ascii_case(b"chunked") && encodings.next().is_none() => {
            Ok(Framing::Chunked)
        }
        (Some(_), _) => Err(Refusal::Malformed),
    }
}

/// Digits only, up to 63 bits.
fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: u64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (length <= i64::MAX.unsigned_abs()).then_some(length)
}

/// Origin-form, absolute-form, or `*` (RFC 9112 §3.2). The authority of an absolute target replaces Host.
fn target_form(
    mut fields: Fields,
    method: &[u8],
    target: &[u8],
    scheme: &'static [u8],
) -> Result<RequestHead, Refusal> {
    let mut hosts = fields.all(FieldId::Host);
    let Some(host) = hosts.next() else { return Err(Refusal::Malformed) };
    // Two Host lines stand for no host at all; joined they match none (docs/semantics.md §2.6).
    let mut authority = host.to_vec();
    for more in hosts {
        authority.push(b',');
        authority.extend_from_slice(more);
    }
    let mut path = target;
    let mut absolute = Vec::new();
    if target.first() != Some(&b'/') && target != b"*" && method != b"CONNECT" {
        let end = memmem::find(target, b"://").ok_or(Refusal::Malformed)?;
        let (named, rest) = (&target[..end], &target[end + 3..]);
        if named.eq_ignore_ascii_case(b"https") && scheme == b"http" {
            return Err(Refusal::SchemeMismatch);
        }
        if !named.eq_ignore_ascii_case(b"http") && !named.eq_ignore_ascii_case(b"https") {
            return Err(Refusal::Malformed);
        }
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let host = &rest[..end];
        // User information is dropped.
        authority = host[memchr::memrchr(b'@', host).map_or(0, |at| at + 1)..].to_vec();
        if rest[end..].first() != Some(&b'/') {
            absolute.push(b'/');
        }
        absolute.extend_from_slice(&rest[end..]);
        path = &absolute;
    }
    fields.remove(FieldId::Host);
    Ok(RequestHead::new(Protocol::Http11, fields, method, scheme, &authority, path))
}

/// Why a response is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("upstream sent what is not an HTTP/1.1 response")]
pub(crate) struct BadResponse;

/// A response with what its head says about the connection.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) head: ResponseHead,
    pub(crate) framing: Framing,
    pub(crate) close: bool,
}

/// Reads a response head. `to_head` = the request's method was HEAD.
pub(crate) fn response(bytes: &[u8], limits: HeadLimits, to_head: bool) -> Result<Parsed<Response>, BadResponse> {
    let within = &bytes[..bytes.len().min(limits.bytes)];
    // Anything that cannot grow into a status line is not worth waiting for.
    if !b"HTTP/".starts_with(&within[..within.len().min(5)]) {
        return Err(BadResponse);
    }
    let partial = |bytes: &[u8]| if bytes.len() > limits.bytes { Err(BadResponse) } else { Ok(Parsed::Partial) };
    let Some(end) = line_end(within, 0).map_err(|BareLineEnd| BadResponse)? else { return partial(bytes) };
    let line = &within[..end];
    let (status, old) = status_line(line)?;
    let Some(length) = head_end(within, end + 2).map_err(|BareLineEnd| BadResponse)? else { return partial(bytes) };
    let head = &within[..length];

    let fields = fields_of(&head[line.len() + 2..], limits.fields, 128).map_err(|_| BadResponse)?;

    let framing = response_framing(&fields, status, to_head, old)?;
    let says = |token| fields.all(FieldId::Connection).any(|value| crate::proxy::head::list_contains(value, token));
    let close = framing == Framing::UntilClose || says(b"close") || old && !says(b"keep-alive");
    Ok(Parsed::Head(Response { head: ResponseHead { status, fields }, framing, close }, length))
}

/// Status, and whether the version is 1.0.
fn status_line(line: &[u8]) -> Result<(u16, bool), BadResponse> {
    let old = match line.get(..9) {
        Some(b"HTTP/1.1 ") => false,
        Some(b"HTTP/1.0 ") => true,
        _ => return Err(BadResponse),
    };
    let (digits, reason) = line[9..].split_at_checked(3).ok_or(BadResponse)?;
    // The reason is thrown away, but it may not hide what another parser would take for something else.
    let is_text = |byte: &u8| *byte >= b' ' && *byte != 0x7f || *byte == b'\t';
    let separated = reason.is_empty() || reason.starts_with(b" ");
    if !digits.iter().all(u8::is_ascii_digit) || !separated || !reason.iter().all(is_text) {
        return Err(BadResponse);
    }
    let status = digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    if is_status(status) { Ok((status, old)) } else { Err(BadResponse) }
}

/// Whether a number is a status at all (RFC 9110 §15).
pub(crate) fn is_status(status: u16) -> bool {
    (100..600).contains(&status)
}

/// Whether a response can have a body (RFC 9110 §6.4.1). Where it cannot, no framing field and no byte of an upstream
/// makes one: what followed such a head on a client's connection would be the next response.
pub(crate) fn may_have_body(status: u16, to_head: bool) -> bool {
    !to_head && status >= 200 && !matches!(status, 204 | 304)
}

/// The length that the fields of a message declare: in one line, which is digits and nothing else (docs/security.md,
/// H1-3).
pub(crate) fn declared_length<'a>(mut lines: impl Iterator<Item = &'a [u8]>) -> Result<Option<u64>, BadLength> {
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => content_length(line).map(Some).ok_or(BadLength),
        (Some(_), Some(_)) => Err(BadLength),
    }
}

/// Content-Length that is no length, or more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("content-length is not one number")]
pub(crate) struct BadLength;

fn response_framing(fields: &Fields, status: u16, to_head: bool, old: bool) -> Result<Framing, BadResponse> {
    let mut encodings = fields.all(FieldId::TransferEncoding);
    let length = declared_length(fields.all(FieldId::ContentLength)).map_err(|BadLength| BadResponse)?;
    let declared = match (encodings.next(), length) {
        (None, None) => Framing::UntilClose,
        (None, Some(length)) => Framing::Length(length),
        (Some(encoding), None) if !old && encoding.eq_ignore_ascii_case(b"chunked") && encodings.next().is_none() => {
            Framing::Chunked
        }
        (Some(_), _) => return Err(BadResponse),
    };
    if !may_have_body(status, to_head) {
        return Ok(Framing::None);
    }
    Ok(if declared == Framing::Length(0) { Framing::None } else { declared })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 1024, fields: 10 };

    fn parse(text: &str) -> Result<Parsed<Request>, Refusal> {
        request(text.as_bytes(), LIMITS, b"http")
    }

    fn refused(text: &str) -> Refusal {
        parse(text).expect_err(text)
    }

    fn accepted(text: &str) -> Request {
        match parse(text).expect(text) {
            Parsed::Head(request, _) => request,
            Parsed::Partial => panic!("partial: {text:?}"),
        }
    }

    #[test]
    fn a_request_comes_apart() {
        let it = accepted("POST /a?b HTTP/1.1\r\nHost: Shop.test:80\r\nContent-Length: 3\r\nX-A:  v \r\n\r\nabc");
        assert_eq!(it.head.method(), b"POST");
        assert_eq!(it.head.authority(), b"Shop.test:80");
        assert_eq!(it.head.target(), b"/a?b");
        assert_eq!(it.framing, Framing::Length(3));
        assert_eq!(it.head.fields.named(b"x-a").collect::<Vec<_>>(), [b"v"]);
        assert!(!it.close);
    }

    #[test]
    fn absolute_targets_name_the_host() {
        for (target, authority, path) in [
            ("http://b.test/x?y", "b.test", "/x?y"),
            ("http://b.test", "b.test", "/"),
            ("http://me:pw@b.test:81?q", "b.test:81", "/?q"),
        ] {
            let it = accepted(&format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
            assert_eq!(it.head.authority(), authority.as_bytes());
            assert_eq!(it.head.target(), path.as_bytes());
        }
        assert_eq!(refused("GET https://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"), Refusal::SchemeMismatch);
        assert_eq!(refused("GET ftp://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"), Refusal::Malformed);
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        for fields in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length:\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "X-A : b\r\n",
            "X-A\r\n",
            ": b\r\n",
            "X-A: b\r\n folded\r\n",
            "X-A: b\nX-B: c\r\n",
            "X-A: b\rX-B: c\r\n",
            "X-A: b\0c\r\n",
        ] {
            assert_eq!(refused(&post(fields)), Refusal::Malformed, "{fields:?}");
        }
        for line in [
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET /a b HTTP/1.1",
            "GET /\x7f HTTP/1.1",
            "get / HTTP/1.1",
            "FOO / HTTP/1.1",
            "GET x HTTP/1.1",
            "GET / HTTP/11",
            "GET / http/1.1",
        ] {
            assert_eq!(refused(&format!("{line}\r\nHost: a\r\n\r\n")), Refusal::Malformed, "{line}");
        }
        assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), Refusal::Malformed, "no Host");
        let twice = "Expect: 100-continue\r\nExpect: more\r\n";
        assert_eq!(refused(&post(twice)), Refusal::Expectation, "every line counts");
    }

    #[test]
    fn a_bare_line_end_anywhere_is_no_line_end() {
        for text in [
            "GET / HTTP/1.1\rXHost: a\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n",
            "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert_eq!(refused(text), Refusal::Malformed, "{text:?}");
        }
    }

    #[test]
    fn other_versions_are_told_to_upgrade() {
        for line in ["GET / HTTP/1.0", "GET / HTTP/2.0", "GET / HTTP/1.2", "GET / HTTP/0.9", "GET /"] {
            assert_eq!(refused(&format!("{line}\r\nHost: a\r\n\r\n")), Refusal::Version, "{line}");
        }
    }

    #[test]
    fn limits_hold_to_the_byte() {
        let fixed = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        let with = |value: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(value));
        accepted(&with(1024 - fixed));
        assert_eq!(refused(&with(1025 - fixed)), Refusal::TooLarge);
        let lines = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count));
        accepted(&lines(9));
        assert_eq!(refused(&lines(10)), Refusal::TooLarge);
    }

    #[test]
    fn heads_may_come_byte_by_byte() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for end in 0..text.len() {
            assert!(matches!(parse(&text[..end]), Ok(Parsed::Partial)), "{end}");
        }
        accepted(text);
        assert_eq!(refused("FOO / HTTP/1.1\r\nHo"), Refusal::Malformed, "the first line is judged at once");
    }

    fn answer(text: &str, to_head: bool) -> Result<(u16, Framing, bool), BadResponse> {
        match response(text.as_bytes(), LIMITS, to_head)? {
            Parsed::Head(it, _) => Ok((it.head.status, it.framing, it.close)),
            Parsed::Partial => panic!("partial: {text:?}"),
        }
    }

    #[test]
    fn responses_are_framed_by_status_and_fields() {
        for (text, to_head, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, (200, Framing::Length(5), false)),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, (200, Framing::None, false)),
            ("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n", false, (200, Framing::Chunked, false)),
            ("HTTP/1.1 200 OK\r\n\r\n", false, (200, Framing::UntilClose, true)),
            ("HTTP/1.1 204 No\r\n\r\n", false, (204, Framing::None, false)),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false, (200, Framing::Length(5), true)),
            ("HTTP/1.1 304 No\r\nContent-Length: 66\r\n\r\n", false, (304, Framing::None, false)),
            ("HTTP/1.1 103 Hints\r\nContent-Length: 66\r\n\r\n", false, (103, Framing::None, false)),
        ] {
            assert_eq!(answer(text, to_head), Ok(expected), "{text:?}");
        }
        for text in [
            "HTTP/1.1 99 Low\r\n\r\n",
            "HTTP/1.1 099 Low\r\n\r\n",
            "HTTP/1.1 600 High\r\n\r\n",
            "HTTP/1.1 1000 Odd\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\rContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 204 No\r\nContent-Length: x\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        ] {
            assert_eq!(answer(text, false), Err(BadResponse), "{text:?}");
        }
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;
    use crate::proxy::http1::write;

    const LIMITS: HeadLimits = HeadLimits { bytes: 200, fields: 6 };

    /// Heads with something wrong in them, more often than not.
    fn head(start: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
        const PIECES: &[&str] = &[
            "Host: a.test\r\n",
            "Content-Length: 3\r\n",
            "Transfer-Encoding: chunked\r\n",
            "X-A:  b \t\r\n",
            "Connection: close, x-a\r\n",
            "x_b: \u{e9}\r\n",
            "Expect: 100-continue\r\n",
            "\r\n",
            "\r\n",
            "\r",
            "\n",
            "\0",
            ":",
            " ",
            "\t",
            "GET / HTTP/1.1\r\n",
            "HTTP/1.1 200 OK\r\n",
        ];
        let piece = prop_oneof![
            12 => proptest::sample::select(PIECES).prop_map(|text| text.as_bytes().to_vec()),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ];
        let pieces = proptest::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat());
        (proptest::sample::select(start), pieces, prop_oneof![Just(&b""[..]), Just(&b"\r\n"[..])])
            .prop_map(|(start, rest, end)| [start.as_bytes(), &rest, end].concat())
    }

    const REQUESTS: &[&str] = &[
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\n",
        "POST /a?b HTTP/1.1\r\nHost: a.test\r\n",
        "GET http://me@b.test:81/x HTTP/1.1\r\nHost: a.test\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n",
        "GET / HTTP/1.0\r\n",
        "GET / HTTP/1.1\r",
        "\r\nGET / HTTP/1.1\r\n",
        "",
    ];
    const RESPONSES: &[&str] =
        &["HTTP/1.1 200 OK\r\n", "HTTP/1.1 204\r\n", "HTTP/1.0 304 No\r\n", "HTTP/1.1 103 Hints\r\n", "HTTP/1.1 ", ""];

    /// The verdict once the bytes came whole, or up to each of these points first.
    fn verdict<T, E>(
        bytes: &[u8],
        cuts: &[usize],
        parse: impl Fn(&[u8]) -> Result<Parsed<T>, E>,
    ) -> Result<Option<(T, usize)>, E> {
        for &cut in cuts {
            match parse(&bytes[..cut])? {
                Parsed::Head(it, length) => return Ok(Some((it, length))),
                Parsed::Partial => {}
            }
        }
        Ok(match parse(bytes)? {
            Parsed::Head(it, length) => Some((it, length)),
            Parsed::Partial => None,
        })
    }

    fn request_of(bytes: &[u8]) -> Result<Parsed<Request>, Refusal> {
        request(bytes, LIMITS, b"http")
    }

    type Shown = (Vec<u8>, Vec<u8>, Vec<u8>, Framing, Vec<(Vec<u8>, Vec<u8>)>);

    fn shown(it: &Request) -> Shown {
        let head = &it.head;
        let mut fields: Vec<_> = head.fields.iter().map(|(_, name, value)| (name.to_vec(), value.to_vec())).collect();
        // Framing is written anew, and what concerns one connection is not passed on.
        let connection = [&b"connection"[..], b"content-length", b"transfer-encoding"];
        fields.retain(|(name, _)| !connection.contains(&&name[..]));
        (head.method().to_vec(), head.target().to_vec(), head.authority().to_vec(), it.framing, fields)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn a_request_is_judged_alike_however_it_is_cut(bytes in head(REQUESTS)) {
            let whole = verdict(&bytes, &[], request_of).map(|it| it.map(|(it, length)| (shown(&it), length)));
            let every: Vec<usize> = (0..bytes.len()).collect();
            let cut = verdict(&bytes, &every, request_of).map(|it| it.map(|(it, length)| (shown(&it), length)));
            prop_assert_eq!(&cut, &whole);
            for at in every {
                let halves = verdict(&bytes, &[at], request_of).map(|it| it.map(|(it, length)| (shown(&it), length)));
                prop_assert_eq!(&halves, &whole, "cut at {}", at);
            }
        }

        #[test]
        fn a_response_is_judged_alike_however_it_is_cut(bytes in head(RESPONSES), to_head: bool) {
            let parse = |bytes: &[u8]| response(bytes, LIMITS, to_head);
            let show = |it: Option<(Response, usize)>| it.map(|(it, length)| (it.head.status, it.framing, it.close, length));
            let whole = verdict(&bytes, &[], parse).map(show);
            let every: Vec<usize> = (0..bytes.len()).collect();
            prop_assert_eq!(verdict(&bytes, &every, parse).map(show), whole);
        }

        #[test]
        fn what_is_written_reads_as_what_was_read(bytes in head(REQUESTS)) {
            let Ok(Parsed::Head(first, _)) = request_of(&bytes) else { return Ok(()) };
            let mut written = Vec::new();
            // What the filters refuse, such as a Host that is none, is not written at all.
            if write::request(&mut written, &first.head, first.framing, false).is_err() {
                prop_assert!(written.is_empty());
                return Ok(());
            }
            let limits = HeadLimits { bytes: 1024, fields: 20 };
            let Ok(Parsed::Head(second, length)) = request(&written, limits, b"http") else {
                return Err(TestCaseError::fail(format!("{:?} is no request", String::from_utf8_lossy(&written))));
            };
            prop_assert_eq!(length, written.len());
            prop_assert_eq!(shown(&second), shown(&first));
            let framings = second.head.fields.all(FieldId::ContentLength).count()
                + second.head.fields.all(FieldId::TransferEncoding).count();
            prop_assert!(framings <= 1);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), to_head: bool) {
            let _ = request_of(&bytes);
            let _ = response(&bytes, LIMITS, to_head);
        }
    }
}
