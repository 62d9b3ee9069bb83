//! Path normalisation: what is matched is what is forwarded (docs/semantics.md §2.6, §15.14). The query is untouched.

use ir::PathNormalization;

use crate::proxy::error::Failure;
use crate::proxy::head::RequestHead;

/// Normalises the request's path as the mesh says; refuses fragments and NUL in any mode.
pub(crate) fn normalise(request: &mut RequestHead, mode: PathNormalization) -> Result<(), Failure> {
    let target = request.target();
    if memchr::memchr(b'#', target).is_some() {
        return Err(Failure::BadPath);
    }
    let path = request.path();
    if !path.starts_with(b"/") {
        return Ok(());
    }
    if mode != PathNormalization::None && !needs_work(path, mode) {
        return Ok(());
    }
    if has_nul_escape(path) {
        return Err(Failure::BadPath);
    }
    if mode == PathNormalization::None {
        return Ok(());
    }
    let mut clean = path_in_mode(path, mode);
    if has_nul_escape(&clean) {
        return Err(Failure::BadPath);
    }
    if let Some(query) = request.query() {
        clean.push(b'?');
        clean.extend_from_slice(query);
    }
    request.set_target(&clean);
    Ok(())
}

/// Most paths have nothing to do.
fn needs_work(path: &[u8], mode: PathNormalization) -> bool {
    let merges = matches!(mode, PathNormalization::MergeSlashes | PathNormalization::DecodeAndMergeSlashes);
    let mut previous = 0;
    path.iter().any(|&byte| {
        let hit = byte == b'%'
            || must_escape(byte)
            || byte == b'\\'
            || previous == b'/' && (byte == b'.' || merges && byte == b'/');
        previous = byte;
        hit
    })
}

fn has_nul_escape(path: &[u8]) -> bool {
    memchr::memmem::find(path, b"%00").is_some()
}

fn path_in_mode(path: &[u8], mode: PathNormalization) -> Vec<u8> {
    // Slashes come first: dot segments that only they bring to light must not get past.
    let mut path = if mode == PathNormalization::DecodeAndMergeSlashes {
        canonical(&decode_slashes(path))
    } else {
        canonical(path)
    };
    if matches!(mode, PathNormalization::MergeSlashes | PathNormalization::DecodeAndMergeSlashes) {
        merge_slashes(&mut path);
    }
    path
}

/// A path of nothing but slashes keeps two, as Envoy's does.
fn merge_slashes(path: &mut Vec<u8>) {
    if path.len() > 1 && path.iter().all(|byte| *byte == b'/') {
        path.truncate(2);
    } else {
        path.dedup_by(|second, first| *second == b'/' && *first == b'/');
    }
}

/// Decodes escapes of unreserved characters, escapes what a path may not hold, turns backslashes and removes dot
/// segments (RFC 3986 §6.2.2).
fn canonical(path: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = Vec::with_capacity(path.len() + 8);
    // Where in `text` the last `%` is that begins no escape.
    let mut stray = None;
    let mut at = 0;
    while at < path.len() {
        let byte = path[at];
        at += 1;
        match byte {
            b'%' => match escaped(&path[at..]) {
                Some(decoded) if is_unreserved(decoded) => {
                    text.push(decoded);
                    at += 2;
                }
                // Other escapes stay as they are.
                Some(_) => {
                    text.extend_from_slice(&path[at - 1..at + 2]);
                    at += 2;
                }
                None => {
                    stray = Some(text.len());
                    text.push(b'%');
                }
            },
            b'\\' => text.push(b'/'),
            byte if must_escape(byte) => {
                text.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
            byte => text.push(byte),
        }
        // A broken escape stays broken: decoding what follows it must not complete it, or the upstream would read what
        // was never matched. Envoy does the same.
        if let Some(percent) = stray
            && text.len() == percent + 3
        {
            if escaped(&text[percent + 1..]).is_some() {
                text.splice(percent + 1..percent + 1, *b"25");
            }
            stray = None;
        }
    }
    remove_dot_segments(&text)
}

/// Whether a path holds a segment that an upstream would take for a way up or for nothing.
pub(crate) fn has_dot_segments(path: &[u8]) -> bool {
    path.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| segment == b"." || is_way_up(segment))
}

/// Servlet containers drop what follows a `;`.
fn is_way_up(segment: &[u8]) -> bool {
    segment.strip_prefix(b"..").is_some_and(|rest| matches!(rest.first(), None | Some(b';')))
}

fn escaped(after: &[u8]) -> Option<u8> {
    let (high, low) = (char::from(*after.first()?).to_digit(16)?, char::from(*after.get(1)?).to_digit(16)?);
    u8::try_from(high << 4 | low).ok()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn must_escape(byte: u8) -> bool {
    matches!(byte, b'|' | b'{' | b'}' | b'^' | b'`' | b'"' | b'<' | b'>')
}

fn remove_dot_segments(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    // `path` starts with a slash, so every segment has one in front.
    let mut segments = path[1..].split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"." => {
                if last {
                    out.push(b'/');
                }
            }
            segment if is_way_up(segment) => {
                let cut = memchr::memrchr(b'/', &out).unwrap_or(0);
                out.truncate(cut);
                if last {
                    out.push(b'/');
                }
            }
            segment => {
                out.push(b'/');
                out.extend_from_slice(segment);
            }
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

fn decode_slashes(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        if path[at] == b'%' && matches!(escaped(&path[at + 1..]), Some(b'/' | b'\\')) {
            out.push(b'/');
            at += 3;
        } else {
            out.push(path[at]);
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proxy::head::{Fields, Protocol};

    fn run(target: &str, mode: PathNormalization) -> Result<String, Failure> {
        let mut request =
            RequestHead::new(Protocol::Http11, Fields::default(), b"GET", b"http", b"a", target.as_bytes());
        normalise(&mut request, mode)?;
        Ok(String::from_utf8(request.target().to_vec()).unwrap())
    }

    #[test]
    fn base_normalises_as_envoy_does() {
        for (target, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/..;/b", "/b"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/%61%2e%2E/x", "/a../x"),
            ("/%2e%2e/x", "/x"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a%2fb", "/a%2fb"),
            ("/a%zz%4", "/a%zz%4"),
            ("/a\\b", "/a/b"),
            ("/a|b{c}", "/a%7Cb%7Bc%7D"),
            ("/a//b", "/a//b"),
            ("/a/../b?x=/../%61", "/b?x=/../%61"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
        ] {
            assert_eq!(run(target, PathNormalization::Base).as_deref(), Ok(expected), "{target}");
        }
    }

    #[test]
    fn other_modes_do_more_or_less() {
        for (target, mode, expected) in [
            ("/a/../b", PathNormalization::None, "/a/../b"),
            ("/a//b///c?x=//", PathNormalization::MergeSlashes, "/a/b/c?x=//"),
            ("/a%2Fb", PathNormalization::MergeSlashes, "/a%2Fb"),
            ("/", PathNormalization::MergeSlashes, "/"),
            ("///", PathNormalization::MergeSlashes, "//"),
            ("/a///", PathNormalization::MergeSlashes, "/a/"),
            ("/a%2F/b%5cc", PathNormalization::DecodeAndMergeSlashes, "/a/b/c"),
            ("/a/..%2Fb", PathNormalization::DecodeAndMergeSlashes, "/b"),
            ("/a/%2e%2e%5cb", PathNormalization::DecodeAndMergeSlashes, "/b"),
            ("/a/%2F..%2F/b", PathNormalization::DecodeAndMergeSlashes, "/a/b"),
        ] {
            assert_eq!(run(target, mode).as_deref(), Ok(expected), "{target}");
        }
    }

    #[test]
    fn fragments_and_nul_are_refused_in_every_mode() {
        for target in ["/a#b", "/a?b#c", "/a%00b"] {
            for mode in [PathNormalization::None, PathNormalization::Base, PathNormalization::MergeSlashes] {
                assert_eq!(run(target, mode), Err(Failure::BadPath), "{target}");
            }
        }
    }

    #[test]
    fn what_is_decoded_completes_no_broken_escape() {
        use PathNormalization::{Base, DecodeAndMergeSlashes, MergeSlashes};
        for mode in [Base, MergeSlashes, DecodeAndMergeSlashes] {
            for (target, expected) in [
                ("/public/%%32%65%%32%65/admin", "/public/%252e%252e/admin"),
                ("/public/%%32e%2%65/admin", "/public/%252e%252e/admin"),
                ("/a%%30%30b", "/a%2500b"),
                ("/a%%32%66b", "/a%252fb"),
                ("/a%%35%63b", "/a%255cb"),
                ("/a%%%32%35", "/a%%2525"),
                ("/a%%zz%", "/a%%zz%"),
                ("/a%25%32%65", "/a%252e"),
                ("/%2%2e", "/%2."),
            ] {
                assert_eq!(run(target, mode).as_deref(), Ok(expected), "{target}");
            }
        }
    }

    #[test]
    fn dot_segments_are_told_in_every_spelling() {
        for (path, has) in [
            ("/a/../b", true),
            ("/..", true),
            ("/./x", true),
            ("/a\\..\\b", true),
            ("/..;x/b", true),
            ("/a..b/.c/...", false),
            ("//", false),
        ] {
            assert_eq!(has_dot_segments(path.as_bytes()), has, "{path}");
        }
    }

    /// Bytes that escapes, dots and slashes are made of, and now and then any other.
    fn spicy() -> impl Strategy<Value = Vec<u8>> {
        const SPICE: &[u8] = b"%%%%0022555eEfFcC..//\\;a?";
        let byte = prop_oneof![9 => proptest::sample::select(SPICE), 1 => 0x21_u8..=0xff];
        let piece = prop_oneof![
            4 => byte.prop_map(|byte| vec![byte]),
            1 => proptest::sample::select(vec!["%2e", "%2E", "%2f", "%5c", "%25", "%00", "%32", "%65", "../", "..;"])
                .prop_map(|text| text.as_bytes().to_vec()),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    fn normalised(target: &[u8], mode: PathNormalization) -> Option<Vec<u8>> {
        let mut request = RequestHead::new(Protocol::Http11, Fields::default(), b"GET", b"http", b"a", target);
        normalise(&mut request, mode).ok()?;
        Some(request.target().to_vec())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn normalising_twice_is_normalising_once(tail in spicy()) {
            use PathNormalization::{Base, DecodeAndMergeSlashes, MergeSlashes, None};
            let target = [b"/", &tail[..]].concat();
            for mode in [None, Base, MergeSlashes, DecodeAndMergeSlashes] {
                let Some(once) = normalised(&target, mode) else { continue };
                prop_assert_eq!(normalised(&once, mode), Some(once.clone()), "{:?}", mode);
                let path = &once[..memchr::memchr(b'?', &once).unwrap_or(once.len())];
                prop_assert!(!has_nul_escape(path) && !once.contains(&b'#'));
                if mode == None {
                    prop_assert_eq!(&once, &target);
                    continue;
                }
                prop_assert!(!has_dot_segments(path) && !path.contains(&b'\\'));
                // No escape is left that stands for a dot, so that an upstream that decodes once reads no other path.
                prop_assert!(memchr::memchr_iter(b'%', path).all(|at| escaped(&path[at + 1..]) != Some(b'.')));
                if mode != Base {
                    prop_assert!(path == b"//" || memchr::memmem::find(path, b"//").is_none());
                }
                if mode == DecodeAndMergeSlashes {
                    let decoded = |at: usize| escaped(&path[at + 1..]);
                    prop_assert!(memchr::memchr_iter(b'%', path).all(|at| !matches!(decoded(at), Some(b'/' | b'\\'))));
                }
            }
        }
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        for target in ["/a/./b/../c", "/%61/..;/b\\..\\c", "/a//..//b", "/{x}/%2e"] {
            for mode in [PathNormalization::Base, PathNormalization::MergeSlashes] {
                let once = run(target, mode).unwrap();
                assert_eq!(run(&once, mode).unwrap(), once, "{target}");
            }
        }
    }
}
