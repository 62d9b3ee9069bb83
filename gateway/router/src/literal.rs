//! The literal text that every match of a pattern starts and ends with, for an index to sort by. Works on the parsed
//! form, never on the pattern's text.

use regex_syntax::hir::{Hir, HirKind, Look};

/// A pattern as a sequence.
pub(crate) struct Parts(Vec<Part>);

#[derive(Debug)]
enum Part {
    Literal(Vec<u8>),
    /// `^`, which holds where the text starts.
    Start,
    /// `$`, which holds where the text ends.
    End,
    Other,
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
}
