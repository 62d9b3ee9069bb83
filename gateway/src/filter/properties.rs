//! Whatever texts a configuration holds: either its decoding refuses them, or what is written has no line, no part of a
//! line and no host that was not meant.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::filter::redirect::{self, Redirect};
use crate::filter::rewrite::PathRewrite;
use crate::limits::GatewayLimits;
use crate::proxy::head::{Fields, Protocol, RequestHead, ResponseHead};
use crate::proxy::http1::parse::Framing;
use crate::proxy::http1::write;

const ROUNDS: u64 = 5_000;

/// Pieces that mean something somewhere.
const PIECES: &[&str] = &[
    "/",
    "//",
    "a",
    "evil.test",
    "b.test",
    "\\0",
    "\\1",
    "\\",
    "?",
    "@",
    ":",
    ":80",
    ":x",
    "[",
    "]",
    "[::1]",
    "%",
    "%0d%0a",
    "x-a:b",
    "HTTP/1.1",
    "://",
    "http",
    ".",
    "..",
    ";",
    ",",
    "_",
    "\u{e4}",
    "\u{85}",
    "\u{2028}",
];
const FORBIDDEN: &[&str] = &["\r\n", "\r", "\n", "\0", " ", "\t", "#", "\x7f", "\x1b"];

fn text(random: &mut Rng, forbidden: bool) -> String {
    let mut text = String::new();
    for _ in 0..random.usize(0..6) {
        let bad = forbidden && random.u8(..) < 40;
        let pieces = if bad { FORBIDDEN } else { PIECES };
        text.push_str(pieces[random.usize(..pieces.len())]);
    }
    text
}

/// What a client may ask for.
fn request(random: &mut Rng) -> RequestHead {
    let target = format!("/{}", text(random, false));
    let authority = ["a.test", "A.test:80", "a.test:8443", "a.test:", "[::1]:80"][random.usize(..5)];
    let scheme = [&b"http"[..], b"https"][random.usize(..2)];
    let mut fields = Fields::default();
    fields.push(b"x-one", b"1");
    RequestHead::new(Protocol::Http11, fields, b"GET", scheme, authority.as_bytes(), target.as_bytes())
}

fn count(bytes: &[u8], byte: u8) -> usize {
    bytes.iter().filter(|it| **it == byte).count()
}

/// Host of a URL as browsers find it.
fn host_of(url: &[u8]) -> Option<Vec<u8>> {
    let url = url.strip_prefix(b"http://").or_else(|| url.strip_prefix(b"https://"))?;
    let end = url.iter().position(|byte| b"/?#\\".contains(byte)).unwrap_or(url.len());
    Some(ir::text::split(&url[..end])?.host.to_vec())
}

#[test]
fn rewrites_end_no_line_and_no_target() {
    let (mut refused, mut written) = (0, 0);
    for seed in 0..ROUNDS {
        let random = &mut Rng::with_seed(seed);
        let (replacement, authority) = (text(random, true), text(random, true));
        let rewrite = match random.usize(..3) {
            0 => json!({"prefix": {"matched": random.usize(..4), "replacement": replacement}}),
            1 => json!({"full": {"replacement": replacement}}),
            _ => json!({"regex": {"pattern": "(a|/)", "substitution": replacement}}),
        };
        let decoded = serde_json::from_value::<ir::PathRewrite>(rewrite);
        let authority = serde_json::from_value::<ir::Authority>(Value::from(authority));
        let mut head = request(random);
        let Ok(rewrite) = decoded else {
            refused += 1;
            continue;
        };
        let rewrite = PathRewrite::compile(&rewrite).unwrap();
        let Ok(target) = rewrite.apply(&head, &GatewayLimits::default()) else { continue };
        head.set_target(&target);
        if let Ok(authority) = authority {
            head.set_authority(authority.as_bytes());
        }
        let mut out = Vec::new();
        if write::request(&mut out, &head, Framing::None, false).is_err() {
            assert!(out.is_empty() && target.is_empty(), "{seed}: a decoded text cannot be written: {target:?}");
            continue;
        }
        written += 1;
        let shown = String::from_utf8_lossy(&out).into_owned();
        // Request line, host, one field, the empty line.
        assert_eq!((count(&out, b'\r'), count(&out, b'\n'), count(&out, 0)), (4, 4, 0), "{seed}: {shown:?}");
        let line = &out[..out.iter().position(|byte| *byte == b'\r').unwrap()];
        assert_eq!(count(line, b' '), 2, "{seed}: {shown:?}");
    }
    assert!(refused > 300 && written > 300, "{refused} refused, {written} written");
}

#[test]
fn locations_lead_to_the_host_that_is_meant() {
    let (mut refused, mut written) = (0, 0);
    for seed in 0..ROUNDS {
        let random = &mut Rng::with_seed(seed);
        let path = match random.usize(..3) {
            0 => json!({"full": format!("/{}", text(random, true))}),
            1 => json!({"prefix": {"matched": random.usize(..4), "replacement": text(random, true)}}),
            _ => Value::Null,
        };
        let mut all = json!({"status": 301});
        for (name, value) in [("path", path), ("authority", Value::from(text(random, true))), ("port", json!(8443))] {
            if random.bool() && !value.is_null() && value != "" {
                all[name] = value;
            }
        }
        let Ok(decoded) = serde_json::from_value::<ir::Redirect>(all) else {
            refused += 1;
            continue;
        };
        let head = request(random);
        let asked = ir::text::split(head.authority()).unwrap().host;
        let meant = decoded.authority.as_ref().map_or(asked, |authority| authority.host_port().host);
        let redirect = Redirect::compile(&decoded);
        for (reply, host) in [(redirect.reply(&head), meant), (redirect::to_https(&head), asked)] {
            let location = reply.head.fields.named(b"location").next().unwrap().to_vec();
            let shown = String::from_utf8_lossy(&location).into_owned();
            assert_eq!(host_of(&location).as_deref(), Some(host), "{seed}: {shown:?}");
            assert_eq!(lines_of(&reply.head), 4, "{seed}: {shown:?}");
        }
        written += 1;
    }
    assert!(refused > 300 && written > 300, "{refused} refused, {written} written");
}

/// Status line, location, content-length, the empty line.
fn lines_of(head: &ResponseHead) -> usize {
    let mut out = Vec::new();
    write::response(&mut out, head, Framing::None, false, false).expect("a location can be written");
    assert_eq!(count(&out, b'\r'), count(&out, b'\n'));
    count(&out, b'\n')
}

#[test]
fn fields_of_edits_and_policies_are_one_line() {
    let mut refused = 0;
    for seed in 0..ROUNDS {
        let random = &mut Rng::with_seed(seed);
        let (name, value) = (text(random, true), text(random, true));
        let op = json!({"set": {"name": name, "value": value.replace('%', "%%")}});
        let Ok(ir::HeaderOp::Set { name, value }) = serde_json::from_value::<ir::HeaderOp>(op) else {
            refused += 1;
            continue;
        };
        let mut head = ResponseHead::new(200);
        for segment in value.segments() {
            let ir::format::Segment::Literal(text) = segment else { continue };
            head.fields.push(name.as_bytes(), text.as_bytes());
        }
        let lines = head.fields.len() + 3;
        assert_eq!(lines_of(&head), lines, "{seed}: {name}: {value}");
    }
    assert!(refused > 300, "{refused} refused");
}
