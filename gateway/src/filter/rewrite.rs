//! Path rewrites (docs/semantics.md §3.8). The result is sent as it is, nothing is tidied.

use regex::bytes::Regex;

use crate::proxy::head::RequestHead;

#[derive(Debug)]
pub(crate) enum PathRewrite {
    Prefix { matched: usize, replacement: Box<[u8]> },
    Full(Box<[u8]>),
    Regex { pattern: Regex, substitution: Box<[Part]> },
}

/// A piece of a substitution.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(Box<[u8]>),
    Group(usize),
}

impl PathRewrite {
    pub(crate) fn compile(rewrite: &ir::PathRewrite) -> Result<Self, router::RegexError> {
        Ok(match rewrite {
            ir::PathRewrite::Prefix { matched, replacement } => {
                Self::Prefix { matched: *matched, replacement: replacement.as_bytes().into() }
            }
            ir::PathRewrite::Full { replacement } => Self::Full(replacement.as_bytes().into()),
            ir::PathRewrite::Regex { pattern, substitution } => {
                Self::Regex { pattern: router::search_regex(pattern)?, substitution: parts(substitution) }
            }
        })
    }

    /// Path and query after the rewrite.
    pub(crate) fn apply(&self, request: &RequestHead) -> Vec<u8> {
        let path = request.path();
        let mut out = Vec::with_capacity(request.target().len() + 32);
        match self {
            Self::Prefix { matched, replacement } => {
                out.extend_from_slice(replacement);
                out.extend_from_slice(path.get(*matched..).unwrap_or_default());
            }
            Self::Full(replacement) => out.extend_from_slice(replacement),
            Self::Regex { pattern, substitution } => {
                let mut end = 0;
                for found in pattern.captures_iter(path) {
                    let Some(whole) = found.get(0) else { continue };
                    out.extend_from_slice(&path[end..whole.start()]);
                    end = whole.end();
                    for part in substitution {
                        match part {
                            Part::Literal(text) => out.extend_from_slice(text),
                            Part::Group(number) => {
                                out.extend_from_slice(found.get(*number).map_or(&b""[..], |group| group.as_bytes()));
                            }
                        }
                    }
                }
                out.extend_from_slice(&path[end..]);
            }
        }
        if let Some(query) = request.query() {
            out.push(b'?');
            out.extend_from_slice(query);
        }
        out
    }
}

/// `\0`–`\9` are groups, `\\` is a backslash (RE2's Rewrite).
fn parts(text: &str) -> Box<[Part]> {
    let (mut parts, mut literal) = (Vec::new(), Vec::new());
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'\\', Some(digit @ b'0'..=b'9')) => {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal).into()));
                }
                parts.push(Part::Group(usize::from(digit - b'0')));
                bytes.next();
            }
            (b'\\', Some(b'\\')) => {
                literal.push(b'\\');
                bytes.next();
            }
            (byte, _) => literal.push(byte),
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal.into()));
    }
    parts.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::head::{Fields, Protocol};

    fn run(rewrite: ir::PathRewrite, target: &str) -> String {
        let request = RequestHead::new(Protocol::Http11, Fields::default(), b"GET", b"http", b"a", target.as_bytes());
        String::from_utf8(PathRewrite::compile(&rewrite).unwrap().apply(&request)).unwrap()
    }

    #[test]
    fn prefixes_are_replaced_as_text() {
        let prefix = |matched: &str, replacement: &str| ir::PathRewrite::Prefix {
            matched: matched.len(),
            replacement: replacement.into(),
        };
        for (matched, replacement, target, expected) in [
            ("/api", "/", "/api/x", "//x"),
            ("/api", "/", "/api", "/"),
            ("/api/", "/", "/api/x", "/x"),
            ("/", "/v1", "/x", "/v1x"),
            ("/", "v1/", "/x", "v1/x"),
            ("/a", "/v1?k=1", "/a/x?z=2", "/v1?k=1/x?z=2"),
        ] {
            assert_eq!(run(prefix(matched, replacement), target), expected, "{matched} -> {replacement}: {target}");
        }
    }

    #[test]
    fn the_whole_path_or_every_match_of_a_pattern() {
        assert_eq!(run(ir::PathRewrite::Full { replacement: "/n".into() }, "/a/b?c"), "/n?c");
        let regex = |pattern: &str, substitution: &str| ir::PathRewrite::Regex {
            pattern: pattern.into(),
            substitution: substitution.into(),
        };
        assert_eq!(run(regex("/(v[0-9])/", r"/\1-\0\\x/"), "/v1/a/v2/b?q"), r"/v1-/v1/\x/a/v2-/v2/\x/b?q");
        assert_eq!(run(regex("b", ""), "/abba"), "/aa");
    }
}
