//! Patterns that comparing bytes decides: literal text and runs of characters, one after the other, such as
//! `/v[0-9]+/[^/]+/.*`, and a few alternatives of such. That is most of what people write, and it needs none of the
//! time to compile and of the memory per thread that an engine takes.
//!
//! A pattern is only taken if there is one way at most to lay it over a text; everything else is left to the engine.

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

/// More alternatives than this are left to the engine.
const ALTERNATIVES: usize = 8;

/// A pattern that must match all of a text; one of several may do.
#[derive(Debug)]
pub(crate) struct Sequence {
    steps: Box<[Step]>,
    /// The last run of variable length, if there is one, and how many bytes follow it.
    last: Option<(usize, usize)>,
}

#[derive(Clone, Debug)]
enum Step {
    Literal(Vec<u8>),
    Run(Run),
    /// `^`
    Start,
    /// `$`
    End,
}

/// So many characters of a kind.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// One bit per ASCII character.
    ascii: u128,
    /// Whether it has all other characters, or none of them. With all of them there is no limit but "at least one".
    other: bool,
    least: usize,
    most: usize,
}

/// The alternatives of a pattern; `None` if it takes an engine.
pub(crate) fn sequences(pattern: &Hir) -> Option<Box<[Sequence]>> {
    expand(pattern)?.into_iter().map(Sequence::new).collect()
}

impl Sequence {
    fn new(steps: Vec<Step>) -> Option<Self> {
        let mut joined: Vec<Step> = Vec::new();
        let ends = steps.iter().rev().take_while(|step| matches!(step, Step::End)).count();
        let starts = steps.iter().take_while(|step| matches!(step, Step::Start)).count();
        // Anchors at the outer ends say nothing new; elsewhere they are not for us.
        for step in steps.get(starts..steps.len() - ends).unwrap_or_default() {
            match (joined.last_mut(), step) {
                (_, Step::Start | Step::End) => return None,
                (Some(Step::Literal(before)), Step::Literal(text)) => before.extend_from_slice(text),
                (_, step) => joined.push(step.clone()),
            }
        }
        let last = joined.iter().rposition(|step| step.length().is_none());
        let tail = |at: usize| joined[at + 1..].iter().filter_map(Step::length).sum();
        let last = last.map(|at| (at, tail(at)));
        // Where the last run ends follows from the length of the text. Each one before has to end where what follows
        // cannot be part of it.
        let decided = |at: usize| match (&joined[at], &joined[at + 1]) {
            (Step::Run(run), Step::Literal(text)) => !run.contains(text[0]),
            (Step::Run(run), Step::Run(next)) => {
                next.least > 0 && run.ascii & next.ascii == 0 && !(run.other && next.other)
            }
            (_, _) => false,
        };
        let mut variable = (0..last.map_or(0, |(at, _)| at)).filter(|at| joined[*at].length().is_none());
        variable.all(decided).then(|| Self { steps: joined.into(), last })
    }

    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        let mut rest = text;
        for (at, step) in self.steps.iter().enumerate() {
            let next = match (step, self.last) {
                (Step::Literal(literal), _) => rest.strip_prefix(&**literal),
                (Step::Run(run), Some((last, tail))) if last == at => {
                    rest.len().checked_sub(tail).and_then(|length| run.strip(rest, length))
                }
                (Step::Run(run), _) if run.least == run.most => run.strip(rest, run.least),
                (Step::Run(run), _) => run.strip(rest, run.first_outside(rest).unwrap_or(rest.len())),
                (Step::Start | Step::End, _) => Some(rest),
            };
            match next {
                Some(next) => rest = next,
                None => return false,
            }
        }
        rest.is_empty()
    }
}

impl Step {
    /// The number of bytes, if it is always the same.
    fn length(&self) -> Option<usize> {
        match self {
            Self::Literal(text) => Some(text.len()),
            Self::Run(run) => (run.least == run.most).then_some(run.least),
            Self::Start | Self::End => Some(0),
        }
    }
}

impl Run {
    /// The characters of `class`, any number of times within bounds; `None` for a class that bytes do not decide.
    fn new(class: &Class, least: u32, most: Option<u32>) -> Option<Self> {
        let Class::Unicode(class) = class else { return None };
        let mut ascii = 0;
        let mut other = false;
        for range in class.iter() {
            let (start, end) = (u32::from(range.start()), u32::from(range.end()));
            if end >= 128 {
                if start > 128 || end != u32::from(char::MAX) {
                    return None;
                }
                other = true;
            }
            (start..=end.min(127)).for_each(|character| ascii |= 1 << character);
        }
        // Counting characters that take several bytes is for the engine.
        let counted = least > 1 || most.is_some();
        let most = most.map_or(usize::MAX, |most| most as usize);
        (!(other && counted)).then_some(Self { ascii, other, least: least as usize, most })
    }

    fn contains(self, byte: u8) -> bool {
        if byte < 128 { self.ascii >> byte & 1 == 1 } else { self.other }
    }

    fn first_outside(self, text: &[u8]) -> Option<usize> {
        // A dot; looking for one byte is much faster than looking at each.
        if self.other && self.ascii == !(1 << b'\n') {
            return text.iter().position(|byte| *byte == b'\n');
        }
        text.iter().position(|byte| !self.contains(*byte))
    }

    /// Takes `length` bytes off `text` if they are such a run.
    fn strip(self, text: &[u8], length: usize) -> Option<&[u8]> {
        let (run, rest) = text.split_at_checked(length)?;
        let fits = (self.least..=self.most).contains(&length)
            && self.first_outside(run).is_none()
            && (!self.other || std::str::from_utf8(run).is_ok());
        fits.then_some(rest)
    }
}

/// Recursion is bounded by the parser's nest limit.
fn expand(hir: &Hir) -> Option<Vec<Vec<Step>>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![Vec::new()]),
        HirKind::Literal(text) => Some(vec![vec![Step::Literal(text.0.to_vec())]]),
        HirKind::Class(class) => Some(vec![vec![Step::Run(Run::new(class, 1, Some(1))?)]]),
        HirKind::Look(Look::Start) => Some(vec![vec![Step::Start]]),
        HirKind::Look(Look::End) => Some(vec![vec![Step::End]]),
        HirKind::Look(_) => None,
        HirKind::Capture(group) => expand(&group.sub),
        HirKind::Repetition(repeat) => repetition(repeat),
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(expand(branch)?);
                if all.len() > ALTERNATIVES {
                    return None;
                }
            }
            Some(all)
        }
        HirKind::Concat(parts) => {
            let mut all = vec![Vec::new()];
            for part in parts {
                let next = expand(part)?;
                if all.len() * next.len() > ALTERNATIVES {
                    return None;
                }
                all = all.iter().flat_map(|start| next.iter().map(|end| [&start[..], &end[..]].concat())).collect();
            }
            Some(all)
        }
    }
}

fn repetition(repeat: &Repetition) -> Option<Vec<Vec<Step>>> {
    if let HirKind::Class(class) = innermost(&repeat.sub).kind() {
        return Some(vec![vec![Step::Run(Run::new(class, repeat.min, repeat.max)?)]]);
    }
    if let HirKind::Literal(text) = innermost(&repeat.sub).kind()
        && let ([byte @ 0..128], None | Some(2..)) = (&*text.0, repeat.max)
    {
        let most = repeat.max.map_or(usize::MAX, |most| most as usize);
        let run = Run { ascii: 1 << *byte, other: false, least: repeat.min as usize, most };
        return Some(vec![vec![Step::Run(run)]]);
    }
    if (repeat.min, repeat.max) != (0, Some(1)) {
        return None;
    }
    let mut all = expand(&repeat.sub)?;
    all.push(Vec::new());
    (all.len() <= ALTERNATIVES).then_some(all)
}

fn innermost(mut hir: &Hir) -> &Hir {
    while let HirKind::Capture(group) = hir.kind() {
        hir = &group.sub;
    }
    hir
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn of(pattern: &str) -> Option<Box<[Sequence]>> {
        sequences(&regex_syntax::ParserBuilder::new().utf8(false).build().parse(pattern).unwrap())
    }

    #[test]
    fn takes_what_people_write() {
        let patterns = [
            "",
            "/a",
            ".*",
            ".+",
            "/a/.*",
            "^/a/(.+)$",
            r".*\.html",
            r"/a/.*\.html",
            "/v[0-9]+/.*",
            "/a/[^/]+/b/[^/]+",
            "/a(/.*)?",
            "/(a|b|c)/.*",
            "(?i)/abc/.*",
            "/[a-z0-9-]+/v[12]/x?",
            "[a-z]{2,5}-[0-9]{3}",
            r"/users/\d+",
            "a|b",
            "/?",
            "/a/?",
            r"(?:.*\.)?example\.com",
            "/x+/y",
        ];
        for pattern in patterns {
            assert!(of(&pattern.replace(r"\d", "[0-9]")).is_some(), "{pattern}");
        }
    }

    #[test]
    fn leaves_the_ambiguous_and_the_difficult_to_the_engine() {
        let patterns = [
            ".*a.*",
            "[a-z]+a[0-9]*x?",
            "[^/]{2,}",
            "[a-zä]+",
            "(ab)+",
            r"a\b",
            "a^b",
            "[a-j]|k.|l|m.|n|o.|p|q.|r|s.",
            ".",
            "(?-u:.)*",
            r"(?:.*\.)?a\.b(:[0-9]+)?",
        ];
        for pattern in patterns {
            assert!(of(pattern).is_none(), "{pattern}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

        #[test]
        fn means_what_the_engine_means(
            parts in prop::collection::vec(
                select(&[
                    "/", "a", "b", "ab", "1", "ä", ".*", ".+", "(?s:.*)", "[0-9]+", "[^/]+", "[^/]*", "[ab]", "[ab]*", "[ab]{2}",
                    "[ab]{1,2}", "[a1]?", "(/.*)?", "(a|b1|)", "(?i:a)", "a*", "b{2,}", "^", "$", "[^a]*", "(ä|b)?", "[^\\n]+",
                ][..]),
                0..6,
            ),
            texts in prop::collection::vec(prop::collection::vec(select(&b"//aabb11A\n\xc3\xa4"[..]), 0..7), 1..30),
            likely in prop::collection::vec("[ab/1Aä\n]{0,6}", 1..30),
        ) {
            let pattern = parts.concat();
            if let Some(sequences) = of(&pattern) {
                let engine = regex::bytes::Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap();
                for text in texts.into_iter().chain(likely.into_iter().map(String::into_bytes)) {
                    let found = sequences.iter().any(|sequence| sequence.is_match(&text));
                    prop_assert_eq!(found, engine.is_match(&text), "{} on {}", pattern, text.escape_ascii());
                }
            }
        }
    }
}
