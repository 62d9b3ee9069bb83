//! Path rewrites (docs/semantics.md §3.8). The result is sent as it is, nothing is tidied; one that is longer than a target
//! may be is not made.

use regex::bytes::Regex;

use crate::limits::GatewayLimits;
use crate::proxy::error::Failure;
use crate::proxy::head::RequestHead;

#[derive(Debug)]
pub(crate) enum PathRewrite {
    Prefix { matched: usize, replacement: Box<[u8]> },
    Full(Box<[u8]>),
    Regex(Substitution),
}

/// Replaces every match of a pattern.
#[derive(Debug)]
pub(crate) struct Substitution {
    pattern: Regex,
    parts: Box<[Part]>,
    /// A part is a group of the pattern, which takes a slower search than the whole match does.
    has_groups: bool,
}

/// A piece of a substitution.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(Box<[u8]>),
    /// 0 is the whole match.
    Group(usize),
}

/// A target in the making that does not grow beyond its limit.
struct Target {
    bytes: Vec<u8>,
    limit: usize,
}

impl Target {
    fn add(&mut self, text: &[u8]) -> Result<(), Failure> {
        if self.bytes.len() + text.len() > self.limit {
            return Err(Failure::LongTarget);
        }
        self.bytes.extend_from_slice(text);
        Ok(())
    }
}

impl PathRewrite {
    pub(crate) fn compile(rewrite: &ir::PathRewrite) -> Result<Self, router::RegexError> {
        Ok(match rewrite {
            ir::PathRewrite::Prefix { matched, replacement } => {
                Self::Prefix { matched: *matched, replacement: replacement.as_bytes().into() }
            }
            ir::PathRewrite::Full { replacement } => Self::Full(replacement.as_bytes().into()),
            ir::PathRewrite::Regex { pattern, substitution } => {
                let parts = parts(substitution.as_str());
                let has_groups = parts.iter().any(|part| matches!(part, Part::Group(1..)));
                Self::Regex(Substitution { pattern: router::search_regex(pattern)?, parts, has_groups })
            }
        })
    }

    /// Path and query after the rewrite. A target that was longer than `target_bytes` when it came may stay as long.
    pub(crate) fn apply(&self, request: &RequestHead, limits: &GatewayLimits) -> Result<Vec<u8>, Failure> {
        let path = request.path();
        let mut out = Target {
            bytes: Vec::with_capacity(request.target().len() + 32),
            limit: limits.target_bytes.max(request.target().len()),
        };
        match self {
            Self::Prefix { matched, replacement } => {
                out.add(replacement)?;
                out.add(path.get(*matched..).unwrap_or_default())?;
            }
            Self::Full(replacement) => out.add(replacement)?,
            Self::Regex(substitution) => substitution.apply(path, limits.rewrite_matches, &mut out)?,
        }
        if let Some(query) = request.query() {
            out.add(b"?")?;
            out.add(query)?;
        }
        if names_another_host(&out.bytes) {
            return Err(Failure::BadTarget);
        }
        Ok(out.bytes)
    }
}

/// Whether a target is in absolute form, whose authority an upstream reads instead of the one it is sent (RFC 9112
/// §3.2.2). A pattern can make one of what a client asks for.
fn names_another_host(target: &[u8]) -> bool {
    if target.first() == Some(&b'/') {
        return false;
    }
    let scheme = target.iter().position(|byte| !(byte.is_ascii_alphanumeric() || b"+-.".contains(byte)));
    scheme.is_some_and(|end| target[end..].starts_with(b"://"))
}

impl Substitution {
    /// Each match may cost a look at all that follows, which is why their number is bounded, too.
    fn apply(&self, path: &[u8], most: usize, out: &mut Target) -> Result<(), Failure> {
        let mut end = 0;
        let mut count = 0;
        let mut counted = || {
            count += 1;
            if count > most { Err(Failure::ManyMatches) } else { Ok(()) }
        };
        if self.has_groups {
            for found in self.pattern.captures_iter(path) {
                let Some(whole) = found.get(0) else { continue };
                counted()?;
                out.add(&path[end..whole.start()])?;
                end = whole.end();
                for part in &self.parts {
                    match part {
                        Part::Literal(text) => out.add(text)?,
                        Part::Group(number) => out.add(found.get(*number).map_or(&b""[..], |it| it.as_bytes()))?,
                    }
                }
            }
        } else {
            for whole in self.pattern.find_iter(path) {
                counted()?;
                out.add(&path[end..whole.start()])?;
                end = whole.end();
                for part in &self.parts {
                    match part {
                        Part::Literal(text) => out.add(text)?,
                        Part::Group(_) => out.add(whole.as_bytes())?,
                    }
                }
            }
        }
        out.add(&path[end..])
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
        String::from_utf8(applied(&rewrite, target).unwrap()).unwrap()
    }

    fn applied(rewrite: &ir::PathRewrite, target: &str) -> Result<Vec<u8>, Failure> {
        let request = RequestHead::new(Protocol::Http11, Fields::default(), b"GET", b"http", b"a", target.as_bytes());
        PathRewrite::compile(rewrite).unwrap().apply(&request, &GatewayLimits::default())
    }

    fn regex(pattern: &str, substitution: &str) -> ir::PathRewrite {
        ir::PathRewrite::Regex { pattern: pattern.into(), substitution: substitution.try_into().unwrap() }
    }

    #[test]
    fn prefixes_are_replaced_as_text() {
        let prefix = |matched: &str, replacement: &str| ir::PathRewrite::Prefix {
            matched: matched.len(),
            replacement: replacement.try_into().unwrap(),
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
        assert_eq!(run(ir::PathRewrite::Full { replacement: "/n".try_into().unwrap() }, "/a/b?c"), "/n?c");
        assert_eq!(run(regex("/(v[0-9])/", r"/\1-\0\\x/"), "/v1/a/v2/b?q"), r"/v1-/v1/\x/a/v2-/v2/\x/b?q");
        assert_eq!(run(regex("b", ""), "/abba"), "/aa");
    }

    #[test]
    fn a_result_is_not_made_longer_than_a_target_may_be() {
        let limit = GatewayLimits::default().target_bytes;
        let long = "A".repeat(50_000);
        let path = format!("/{}", "x".repeat(900));
        assert_eq!(applied(&regex("x", &long), &path), Err(Failure::LongTarget));
        assert_eq!(applied(&regex("(x)", &format!(r"\1{long}")), &path), Err(Failure::LongTarget));
        let just = format!("/{}", "y".repeat(limit - 1));
        for (replacement, target, fits) in [(&*just, "/", true), (&*just, "/?q", false), (&*long, "/", false)] {
            let full = ir::PathRewrite::Full { replacement: replacement.try_into().unwrap() };
            assert_eq!(applied(&full, target).is_ok(), fits, "{} {target}", replacement.len());
        }
        // What came longer may stay so, and not grow.
        let came = format!("/api/{}", "z".repeat(20_000));
        let prefix =
            |replacement: &str| ir::PathRewrite::Prefix { matched: 4, replacement: replacement.try_into().unwrap() };
        assert_eq!(applied(&prefix("/v1"), &came).unwrap().len(), came.len() - 1);
        assert_eq!(applied(&prefix("/longer"), &came), Err(Failure::LongTarget));
    }

    #[test]
    fn matches_are_counted() {
        let most = GatewayLimits::default().rewrite_matches;
        let path = |count: usize| format!("/{}", "x".repeat(count));
        for pattern in ["x", "(x)"] {
            assert!(applied(&regex(pattern, "y"), &path(most)).is_ok(), "{pattern}");
            assert_eq!(applied(&regex(pattern, "y"), &path(most + 1)), Err(Failure::ManyMatches), "{pattern}");
        }
    }

    #[test]
    fn clients_cannot_make_a_target_absolute() {
        let taken = regex("^/proxy/(.*)$", r"\1");
        assert_eq!(applied(&taken, "/proxy/http://internal/x"), Err(Failure::BadTarget));
        assert_eq!(applied(&taken, "/proxy/x").unwrap(), b"x");
        assert_eq!(applied(&taken, "/proxy//x:80://").unwrap(), b"/x:80://");
    }
}
