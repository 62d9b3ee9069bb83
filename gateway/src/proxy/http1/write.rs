//! Heads and chunks on their way out. Framing is always our own (docs/security.md, H1-10).

use std::io::Write as _;

use crate::proxy::head::{FieldId, Fields, RequestHead, ResponseHead};
use crate::proxy::http1::parse::Framing;

/// Writes a request head. An upgrade is asked for only where `upgrade` says so.
pub(crate) fn request(out: &mut Vec<u8>, head: &RequestHead, framing: Framing, upgrade: bool) {
    out.extend_from_slice(head.method());
    out.push(b' ');
    out.extend_from_slice(head.target());
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    out.extend_from_slice(head.authority());
    out.extend_from_slice(b"\r\n");
    lines(out, &head.fields);
    if upgrade {
        out.extend_from_slice(b"connection: Upgrade\r\nupgrade: websocket\r\n");
    }
    // A method that may carry a body says that there is none (RFC 9110 §8.6).
    let says_empty = !matches!(head.method(), b"GET" | b"HEAD") || head.fields.has(FieldId::ContentLength);
    frame(out, if framing == Framing::None && says_empty && !upgrade { Framing::Length(0) } else { framing });
    out.extend_from_slice(b"\r\n");
}

/// Writes a response head. `close` announces the end of the connection; `to_head`: the request's method was HEAD.
pub(crate) fn response(out: &mut Vec<u8>, head: &ResponseHead, framing: Framing, to_head: bool, close: bool) {
    status_line(out, head.status);
    lines(out, &head.fields);
    if close {
        out.extend_from_slice(b"connection: close\r\n");
    }
    match framing {
        Framing::None if to_head || head.status == 304 => {
            // The framing a body would have had.
            if head.fields.has(FieldId::TransferEncoding) {
                frame(out, Framing::Chunked);
            } else if let Some(length) = head.fields.get(FieldId::ContentLength) {
                out.extend_from_slice(b"content-length: ");
                out.extend_from_slice(length);
                out.extend_from_slice(b"\r\n");
            }
        }
        Framing::None if head.status >= 200 && head.status != 204 => frame(out, Framing::Length(0)),
        Framing::None | Framing::Length(_) | Framing::Chunked | Framing::UntilClose => frame(out, framing),
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of a switch of protocols.
pub(crate) fn switching(out: &mut Vec<u8>, head: &ResponseHead) {
    status_line(out, head.status);
    lines(out, &head.fields);
    out.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n\r\n");
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

/// The lines of fields that are not about this connection or the body's framing.
fn lines(out: &mut Vec<u8>, fields: &Fields) {
    for (id, name, value) in fields.iter() {
        if id.is_hop_by_hop() || matches!(id, FieldId::ContentLength | FieldId::Host) {
            continue;
        }
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
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
