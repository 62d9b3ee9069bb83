//! Heads and chunks on their way out. Framing is always our own (docs/security.md, H1-10).

use std::io::Write as _;

use crate::proxy::head::{FieldId, Fields, RequestHead, ResponseHead};
use crate::proxy::http1::parse::Framing;

/// A head that nothing may be written of: a part of it would end a line, or its own place in one.
///
/// Texts of objects are typed, and what clients and origins send was parsed strictly, so that such a head is the mistake of
/// a filter. Nothing behind the writer parses again, which is why it looks itself (docs/security.md, C-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("forbidden bytes in a head")]
pub(crate) struct Unwritable;

/// Writes a request head, or nothing. An upgrade is asked for only where `upgrade` says so.
pub(crate) fn request(
    out: &mut Vec<u8>,
    head: &RequestHead,
    framing: Framing,
    upgrade: bool,
) -> Result<(), Unwritable> {
    if !is_word(head.method()) || !is_word(head.target()) || ir::text::split(head.authority()).is_none() {
        return Err(Unwritable);
    }
    let start = out.len();
    out.extend_from_slice(head.method());
    out.push(b' ');
    out.extend_from_slice(head.target());
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    out.extend_from_slice(head.authority());
    out.extend_from_slice(b"\r\n");
    let written = lines(out, &head.fields);
    checked(out, start, written.map(|count| count + 2))?;
    if upgrade {
        out.extend_from_slice(b"connection: Upgrade\r\nupgrade: websocket\r\n");
    }
    // A method that may carry a body says that there is none (RFC 9110 §8.6).
    let says_empty = !matches!(head.method(), b"GET" | b"HEAD") || head.fields.has(FieldId::ContentLength);
    frame(out, if framing == Framing::None && says_empty && !upgrade { Framing::Length(0) } else { framing });
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Writes a response head, or nothing. `close` announces the end of the connection; `to_head`: the request's method was
/// HEAD.
pub(crate) fn response(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    framing: Framing,
    to_head: bool,
    close: bool,
) -> Result<(), Unwritable> {
    answer(out, head)?;
    if close {
        out.extend_from_slice(b"connection: close\r\n");
    }
    match framing {
        Framing::None if to_head || head.status == 304 => {
            // The framing a body would have had.
            if head.fields.has(FieldId::TransferEncoding) {
                frame(out, Framing::Chunked);
            } else if let Some(length) = head.fields.get(FieldId::ContentLength).filter(|it| is_number(it)) {
                out.extend_from_slice(b"content-length: ");
                out.extend_from_slice(length);
                out.extend_from_slice(b"\r\n");
            }
        }
        Framing::None if head.status >= 200 && head.status != 204 => frame(out, Framing::Length(0)),
        Framing::None | Framing::Length(_) | Framing::Chunked | Framing::UntilClose => frame(out, framing),
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Writes the head of a switch of protocols, or nothing.
pub(crate) fn switching(out: &mut Vec<u8>, head: &ResponseHead) -> Result<(), Unwritable> {
    answer(out, head)?;
    out.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n\r\n");
    Ok(())
}

/// Status line and fields of a response.
fn answer(out: &mut Vec<u8>, head: &ResponseHead) -> Result<(), Unwritable> {
    let start = out.len();
    status_line(out, head.status);
    let written = lines(out, &head.fields);
    checked(out, start, written.map(|count| count + 1))
}

/// Takes what was written since `start` back unless it is that many lines and has no NUL.
fn checked(out: &mut Vec<u8>, start: usize, lines: Option<usize>) -> Result<(), Unwritable> {
    let written = &out[start..];
    let count = |byte| Some(memchr::memchr_iter(byte, written).count());
    // Every line ends in one of each, so that one too many of either is a line too many.
    if lines.is_some() && count(b'\n') == lines && count(b'\r') == lines && memchr::memchr(0, written).is_none() {
        return Ok(());
    }
    out.truncate(start);
    Err(Unwritable)
}

/// Whether a text has no end before its end where blanks and line ends separate.
fn is_word(text: &[u8]) -> bool {
    !text.is_empty() && !text.iter().fold(false, |bad, byte| bad | (*byte <= b' ') | (*byte == 0x7f) | (*byte == b'#'))
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// Whether a name of a field ends where its colon is.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && !name.iter().fold(false, |bad, byte| bad | (*byte <= b' ') | (*byte >= 0x7f) | (*byte == b':'))
}

fn status_line(out: &mut Vec<u8>, status: u16) {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    // Writing to a Vec does not fail.
    let _ = write!(out, "HTTP/1.1 {status} {}\r\n", reason.unwrap_or("Unknown"));
}

/// Writes the lines of fields that are not about this connection or the body's framing; returns how many, or nothing where
/// a name is none.
fn lines(out: &mut Vec<u8>, fields: &Fields) -> Option<usize> {
    let mut count = 0;
    let mut is_clean = !fields.is_overflown();
    for (id, name, value) in fields.iter() {
        if id.is_hop_by_hop() || matches!(id, FieldId::ContentLength | FieldId::Host) {
            continue;
        }
        // Names that the proxy knows were compared with constants.
        is_clean &= id != FieldId::Other || is_name(name);
        count += 1;
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    is_clean.then_some(count)
}

fn frame(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::None | Framing::UntilClose => {}
    }
}

/// Writes body bytes in the message's framing.
pub(crate) fn data(out: &mut Vec<u8>, bytes: &[u8], framing: Framing) {
    if bytes.is_empty() {
        return;
    }
    if framing == Framing::Chunked {
        let _ = write!(out, "{:x}\r\n", bytes.len());
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    } else {
        out.extend_from_slice(bytes);
    }
}

/// Writes the end of a body.
pub(crate) fn end(out: &mut Vec<u8>, framing: Framing) {
    if framing == Framing::Chunked {
        out.extend_from_slice(b"0\r\n\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::head::Protocol;

    fn request_of(method: &str, authority: &str, target: &str, name: &str, value: &str) -> Result<String, Unwritable> {
        let mut fields = Fields::default();
        fields.push(b"user-agent", b"test");
        fields.push(name.as_bytes(), value.as_bytes());
        let text = [method, authority, target].map(str::as_bytes);
        let head = RequestHead::new(Protocol::Http11, fields, text[0], b"http", text[1], text[2]);
        let mut out = b"before".to_vec();
        let result = request(&mut out, &head, Framing::Chunked, false);
        let out = String::from_utf8(out).unwrap();
        match result {
            Ok(()) => Ok(out),
            Err(unwritable) => {
                assert_eq!(out, "before", "something was written");
                Err(unwritable)
            }
        }
    }

    #[test]
    fn a_head_with_bytes_that_end_something_is_not_written() {
        assert_eq!(
            request_of("PUT", "a.test:80", "/x?y", "x-a", "b\tc \u{e4}").unwrap(),
            "beforePUT /x?y HTTP/1.1\r\nhost: a.test:80\r\nuser-agent: test\r\nx-a: b\tc \u{e4}\r\n\
             transfer-encoding: chunked\r\n\r\n"
        );
        for (method, authority, target, name, value) in [
            ("GET", "a", "/x HTTP/1.1\r\nHost: internal\r\n\r\nGET /y", "x-a", "b"),
            ("GET", "a", "/a b", "x-a", "b"),
            ("GET", "a", "/a\0", "x-a", "b"),
            ("GET", "a", "/a#b", "x-a", "b"),
            ("GET", "a", "", "x-a", "b"),
            ("GET /", "a", "/", "x-a", "b"),
            ("GET", "a\r\nx: y", "/", "x-a", "b"),
            ("GET", "a b", "/", "x-a", "b"),
            ("GET", "user@a", "/", "x-a", "b"),
            ("GET", "a", "/", "x-a", "b\r\nset-cookie: c"),
            ("GET", "a", "/", "x-a", "b\nc"),
            ("GET", "a", "/", "x-a", "b\rc"),
            ("GET", "a", "/", "x-a", "b\0c"),
            ("GET", "a", "/", "x a", "b"),
            ("GET", "a", "/", "x-a: b\r\nx", "b"),
            ("GET", "a", "/", "x:", "b"),
            ("GET", "a", "/", "", "b"),
        ] {
            let written = request_of(method, authority, target, name, value);
            assert_eq!(written, Err(Unwritable), "{method} {authority} {target} {name}: {value}");
        }
    }

    #[test]
    fn a_response_is_not_split() {
        for (name, value, is_written) in [
            ("location", "http://a.test/", true),
            ("location", "http://a.test/\r\nx-injected: 1", false),
            ("x-a\r\nx-b", "1", false),
            ("x-a", "\0", false),
        ] {
            let mut head = ResponseHead::new(301);
            head.fields.push(name.as_bytes(), value.as_bytes());
            for write in [
                (|out, head| response(out, head, Framing::None, false, true)) as fn(&mut Vec<u8>, &ResponseHead) -> _,
                switching,
            ] {
                let mut out = Vec::new();
                assert_eq!(write(&mut out, &head).is_ok(), is_written, "{name}: {value}");
                assert_eq!(out.is_empty(), !is_written, "{name}: {value}");
            }
        }
    }
}
