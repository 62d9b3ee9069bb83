//! What can be said about a pattern without running it: the literal text every match starts and ends with, and whether
//! the pattern is so simple that comparing bytes decides it. Works on the parsed form, never on the pattern's text.

use regex_syntax::hir::{Dot, Hir, HirKind, Look};

/// A pattern as a sequence.
pub(crate) struct Parts(Vec<Part>);

#[derive(Debug)]
enum Part {
    Literal(Vec<u8>),
    /// Any text: `.*`, `.+`, with flag `s` also across lines.
    Any {
        empty: bool,
        lines: bool,
    },
    /// `^`, which holds where the text starts.
    Start,
    /// `$`, which holds where the text ends.
    End,
    Other,
}

/// The patterns that need no engine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Simple {
    Exact(Box<[u8]>),
    /// `start.*end`
    Around {
        start: Box<[u8]>,
        end: Box<[u8]>,
        empty: bool,
        lines: bool,
    },
}

impl Simple {
    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => text == &**exact,
            Self::Around { start, end, empty, lines } => {
                let middle = text.strip_prefix(&**start).and_then(|rest| rest.strip_suffix(&**end));
                // What a dot matches is a code point, and without flag `s` no line feed.
                middle.is_some_and(|middle| {
                    (*empty || !middle.is_empty())
                        && (*lines || !middle.contains(&b'\n'))
                        && std::str::from_utf8(middle).is_ok()
                })
            }
        }
    }
}

impl Parts {
    pub(crate) fn of(pattern: &Hir) -> Self {
        let mut parts = Vec::new();
        flatten(pattern, &mut parts);
        // The whole text has to match, so anchors at the outer ends say nothing new.
        let start = parts.iter().take_while(|part| matches!(part, Part::Start)).count();
        parts.drain(..start);
        while matches!(parts.last(), Some(Part::End)) {
            parts.pop();
        }
        Self(parts)
    }

    pub(crate) fn simple(&self) -> Option<Simple> {
        let mut any = None;
        for (at, part) in self.0.iter().enumerate() {
            match part {
                Part::Literal(_) => {}
                Part::Any { empty, lines } if any.is_none() => any = Some((at, *empty, *lines)),
                Part::Any { .. } | Part::Start | Part::End | Part::Other => return None,
            }
        }
        Some(match any {
            None => Simple::Exact(join(self.0.iter())),
            Some((at, empty, lines)) => {
                Simple::Around { start: join(self.0[..at].iter()), end: join(self.0[at + 1..].iter()), empty, lines }
            }
        })
    }

    /// The literal text that every match starts with.
    pub(crate) fn prefix(&self) -> Box<[u8]> {
        join(self.0.iter().take_while(|part| matches!(part, Part::Literal(_))))
    }

    /// The literal text that every match ends with.
    pub(crate) fn suffix(&self) -> Box<[u8]> {
        let other = self.0.iter().rposition(|part| !matches!(part, Part::Literal(_)));
        join(self.0[other.map_or(0, |at| at + 1)..].iter())
    }
}

fn join<'a>(parts: impl Iterator<Item = &'a Part>) -> Box<[u8]> {
    let mut text = Vec::new();
    for part in parts {
        if let Part::Literal(bytes) = part {
            text.extend_from_slice(bytes);
        }
    }
    text.into()
}

/// Recursion is bounded by the parser's nest limit.
fn flatten(hir: &Hir, parts: &mut Vec<Part>) {
    match hir.kind() {
        HirKind::Empty => {}
        HirKind::Literal(literal) => parts.push(Part::Literal(literal.0.to_vec())),
        HirKind::Capture(group) => flatten(&group.sub, parts),
        HirKind::Concat(all) => all.iter().for_each(|part| flatten(part, parts)),
        HirKind::Repetition(repeat) if repeat.min <= 1 && repeat.max.is_none() => {
            let lines = *repeat.sub == Hir::dot(Dot::AnyChar);
            let any = lines || *repeat.sub == Hir::dot(Dot::AnyCharExceptLF);
            parts.push(if any { Part::Any { empty: repeat.min == 0, lines } } else { Part::Other });
        }
        HirKind::Look(Look::Start | Look::StartLF) => parts.push(Part::Start),
        HirKind::Look(Look::End | Look::EndLF) => parts.push(Part::End),
        HirKind::Alternation(branches) => alternatives(branches, parts),
        HirKind::Look(_) | HirKind::Class(_) | HirKind::Repetition(_) => parts.push(Part::Other),
    }
}

/// What all branches start and end with, and something in between. The two may overlap in a short branch, which does no
/// harm as long as they are looked for one at a time.
fn alternatives(branches: &[Hir], parts: &mut Vec<Part>) {
    let branches = branches.iter().map(|branch| {
        let mut parts = Vec::new();
        flatten(branch, &mut parts);
        let parts = Parts(parts);
        (parts.prefix().into_vec(), parts.suffix().into_vec())
    });
    let shared = branches.reduce(|(mut prefix, mut suffix), (start, end)| {
        prefix.truncate(prefix.iter().zip(&start).take_while(|(a, b)| a == b).count());
        let common = suffix.iter().rev().zip(end.iter().rev()).take_while(|(a, b)| a == b).count();
        suffix.drain(..suffix.len() - common);
        (prefix, suffix)
    });
    let (prefix, suffix) = shared.unwrap_or_default();
    parts.extend([Part::Literal(prefix), Part::Other, Part::Literal(suffix)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(pattern: &str) -> Parts {
        Parts::of(&regex_syntax::parse(pattern).unwrap())
    }

    #[test]
    fn literal_ends_are_found() {
        #[rustfmt::skip]
        let cases = [
            // pattern                 prefix      suffix
            ("/api/[0-9]+/end",        "/api/",    "/end"),
            ("/api/(a|b)",             "/api/",    ""),
            ("/foo|/fob",              "/fo",      ""),
            ("/foo|/fo",               "/fo",      "o"),
            (r"/x/(a\.html|b/c\.html)", "/x/",   ".html"),
            ("^/api/.*$",              "/api/",    ""),
            ("(/api)(/v1)/x+",         "/api/v1/", ""),
            (".*/end",                 "",         "/end"),
            ("/same",                  "/same",    "/same"),
            ("(?i)/api",               "/",        ""),
            ("/a^b",                   "/a",       "b"),
            ("/(a/)*b",                "/",        "b"),
            ("",                       "",         ""),
        ];
        for (pattern, prefix, suffix) in cases {
            let parts = parts(pattern);
            assert_eq!(&*parts.prefix(), prefix.as_bytes(), "prefix of {pattern}");
            assert_eq!(&*parts.suffix(), suffix.as_bytes(), "suffix of {pattern}");
        }
    }

    #[test]
    fn simple_patterns_mean_what_the_engine_means() {
        let texts: [&[u8]; 14] = [
            b"",
            b"/",
            b"/a",
            b"/a/",
            b"/a/b",
            b"/ab",
            b"/a\n",
            b"/a/\nb",
            b"/a/\xff",
            b"/a/\xc3\xa9",
            b"/a/x.b",
            b".b",
            b"/a/.b",
            b"\xc3.b",
        ];
        for pattern in ["", "/a", "/a/.*", "/a/.+", ".*", ".+", "(?s).*", "(?s)/a/.+", r".*\.b", r"/a/.+\.b", "^/a.*$"]
        {
            let simple = parts(pattern).simple().unwrap();
            let engine = regex::bytes::Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap();
            for text in texts {
                assert_eq!(simple.is_match(text), engine.is_match(text), "{pattern} on {:?}", text.escape_ascii());
            }
        }
    }
}
