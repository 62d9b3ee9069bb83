//! Bytes from outside, given to the code that reads them first: the bodies of the fuzz targets in `tests/fuzz`. Each
//! panics where a promise does not hold. The tests below give them the committed corpora and random bytes.

use ir::PathNormalization;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::discovery::Wanted;
use crate::discovery::push::Collector;
use crate::discovery::snapshot::format;
use crate::filter::path;
use crate::proxy::head::{Fields, Protocol, RequestHead};
use crate::proxy::http1::body::{Decoded, Decoder};
use crate::proxy::http1::parse::{self, Framing, HeadLimits, Parsed};
use crate::proxy::http1::write;
use crate::tls::certificate;

const LIMITS: HeadLimits = HeadLimits { bytes: 8 * 1024, fields: 64 };

/// A request head: what is accepted is written as a head that reads the same, with no line more than its fields.
pub fn request_head(data: &[u8]) {
    let Ok(Parsed::Head(request, length)) = parse::request(data, LIMITS, b"http") else { return };
    assert!(length <= data.len() && length <= LIMITS.bytes);
    let mut written = Vec::new();
    // What the filters refuse, such as a Host that is none, is not written at all.
    if write::request(&mut written, &request.head, request.framing, false).is_err() {
        assert!(written.is_empty());
        return;
    }
    let lines = written.windows(2).filter(|pair| pair == b"\r\n").count();
    let controls = written.iter().filter(|byte| matches!(byte, b'\r' | b'\n' | 0)).count();
    assert_eq!(controls, 2 * lines, "a control byte outside the ends of lines");
    let again = parse::request(&written, HeadLimits { bytes: usize::MAX, fields: 256 }, b"http");
    let Ok(Parsed::Head(again, length)) = again else { panic!("what is written is not read: {again:?}") };
    assert_eq!(length, written.len());
    assert_eq!(again.head.target(), request.head.target());
    assert_eq!(again.head.authority(), request.head.authority());
    assert_eq!(again.framing, request.framing);
}

/// A response head: bodies are only where HTTP gives them (RFC 9110 §6.4.1).
pub fn response_head(data: &[u8]) {
    let (to_head, data) = (data.first().is_some_and(|byte| byte & 1 == 1), data.get(1..).unwrap_or_default());
    let Ok(Parsed::Head(response, length)) = parse::response(data, LIMITS, to_head) else { return };
    assert!(length <= data.len() && length <= LIMITS.bytes);
    let status = response.head.status;
    assert!((100..=599).contains(&status), "{status}");
    if to_head || status < 200 || matches!(status, 204 | 304) {
        assert_eq!(response.framing, Framing::None);
    }
}

/// A body in chunks: however its bytes are cut, the same body is read, and it holds no more than came.
pub fn body(data: &[u8]) {
    let Some((&step, data)) = data.split_first() else { return };
    let whole = decoded(data, data.len().max(1));
    let pieces = decoded(data, usize::from(step % 16) + 1);
    assert_eq!(whole, pieces);
}

/// The body and whether its end was reached; none for what is refused.
fn decoded(data: &[u8], step: usize) -> Option<(Vec<u8>, bool)> {
    let mut decoder = Decoder::new(Framing::Chunked);
    let (mut body, mut held, mut end) = (Vec::new(), 0, 0);
    loop {
        match decoder.decode(&data[held..end]) {
            Err(_) => return None,
            Ok(Decoded::End { .. }) => return Some((body, true)),
            Ok(Decoded::Data { data: range, consumed }) => {
                assert!(range.end <= consumed.max(range.end) && held + range.end <= end);
                body.extend_from_slice(&data[held..end][range]);
                held += consumed;
                if consumed > 0 {
                    continue;
                }
            }
            Ok(Decoded::More { consumed }) => {
                held += consumed;
            }
        }
        if end == data.len() {
            return Some((body, false));
        }
        end = data.len().min(end + step);
    }
}

/// A path: what is normalised is normal, and nothing of it can be read in a second way.
pub fn path(data: &[u8]) {
    use PathNormalization::{Base, DecodeAndMergeSlashes, MergeSlashes, None};
    for mode in [None, Base, MergeSlashes, DecodeAndMergeSlashes] {
        let mut request = with_target(data);
        if path::normalise(&mut request, mode).is_err() {
            continue;
        }
        let once = request.target().to_vec();
        assert!(!once.contains(&b'#'), "{mode:?}");
        let mut request = with_target(&once);
        assert!(path::normalise(&mut request, mode).is_ok(), "{mode:?} refuses its own result");
        assert_eq!(request.target(), once, "{mode:?} is not idempotent");
    }
}

fn with_target(target: &[u8]) -> RequestHead {
    RequestHead::new(Protocol::Http11, Fields::default(), b"GET", b"http", b"a.test", target)
}

/// A host: what is no `host[:port]` is none, and the name of a name is itself.
pub fn host(data: &[u8]) {
    if ir::text::split(data).is_none() {
        return;
    }
    let name = router::host_of(data).into_owned();
    assert!(!name.iter().any(u8::is_ascii_uppercase));
    assert_eq!(*router::host_of(&name), *name);
}

/// A part of a push, and the resources in it.
pub fn push(data: &[u8]) {
    let Ok(part) = wire::discovery::Response::decode(data) else { return };
    let mut collector = Collector::new(64 * 1024);
    if let Ok(Some(push)) = collector.take(part, &Wanted::everything()) {
        push.delta.changed.iter().for_each(resource);
    }
}

/// A snapshot as it lies on a disk; its checksum is made to fit, so that what it covers is read.
pub fn snapshot(data: &[u8]) {
    let sum = Sha256::digest(data);
    if let Ok(contents) = format::decode(&[data, &sum].concat()) {
        contents.resources.iter().for_each(resource);
    }
}

/// The body of a resource.
pub fn resource_body(data: &[u8]) {
    if let Ok(resource) = serde_json::from_slice::<ir::Resource>(data) {
        let encoded = ir::codec::encode(&resource);
        let read = ir::codec::decode(&encoded);
        assert!(read.is_ok_and(|read| read == resource), "what is encoded is not decoded");
    }
}

fn resource(encoded: &ir::Encoded) {
    // A refusal is an answer.
    let _ = ir::codec::decode(encoded);
}

/// A chain and a key in PEM.
pub fn pem(data: &[u8]) {
    let half = data.len() / 2;
    let _ = certificate::certified_key(&data[..half], &data[half..]);
    let _ = certificate::certified_key(data, data);
}

/// A name, and what is done with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target of this crate.
pub const TARGETS: &[Target] = &[
    ("request_head", request_head),
    ("response_head", response_head),
    ("body", body),
    ("path", path),
    ("host", host),
    ("push", push),
    ("snapshot", snapshot),
    ("resource_body", resource_body),
    ("pem", pem),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(name: &str) -> Vec<Vec<u8>> {
        let directory = format!("{}/../tests/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{directory}: {error}"));
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn corpora_keep_every_promise() {
        for (name, run) in TARGETS {
            let inputs = corpus(name);
            assert!(!inputs.is_empty(), "{name} has no corpus");
            inputs.iter().for_each(|input| run(input));
        }
    }

    #[test]
    fn damaged_corpora_keep_every_promise() {
        let mut random = fastrand::Rng::with_seed(7);
        for (name, run) in TARGETS {
            for input in corpus(name) {
                for _ in 0..100 {
                    let mut input = input.clone();
                    for _ in 0..random.usize(1..8) {
                        let at = random.usize(..=input.len());
                        match random.u8(..3) {
                            0 if at < input.len() => input[at] = random.u8(..),
                            1 if at < input.len() => drop(input.remove(at)),
                            _ => input.insert(at, *random.choice(b"%./\\ \r\n\0:#?;2eF-").unwrap_or(&b' ')),
                        }
                    }
                    run(&input);
                }
            }
        }
    }
}
