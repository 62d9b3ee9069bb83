//! Regular expressions as Istio means them: RE2 syntax over bytes, compiled once per pattern.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;

use crate::literal::Parts;
use crate::re2::{self, SyntaxError};
use crate::sequence::{Sequence, sequences};

/// Largest compiled form of one pattern, in bytes.
const SIZE_LIMIT: usize = 1 << 20;
/// Deeper than any pattern that passes admission (1024 bytes) can nest.
const NEST_LIMIT: u32 = 600;

/// A regular expression that must match the whole text.
///
/// `.` and classes match code points, so a text that is not UTF-8 is matched by nothing that covers its bad bytes.
#[derive(Debug)]
pub struct FullRegex {
    pattern: Box<str>,
    prefix: Box<[u8]>,
    suffix: Box<[u8]>,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    /// One of these has to match; they mean the same as the pattern and need no engine.
    Sequences(Box<[Sequence]>),
    Engine(Regex),
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegexError {
    #[error("regex {pattern:?}: {source}")]
    Syntax { pattern: String, source: SyntaxError },
    #[error("regex {pattern:?}: too large when compiled")]
    TooLarge { pattern: String },
}

impl FullRegex {
    /// # Errors
    ///
    /// If `pattern` is not valid in RE2 or too large.
    pub fn compile(pattern: &str) -> Result<Self, RegexError> {
        let inner = translate(pattern)?;
        let parsed = parse(pattern, &inner)?;
        let parts = Parts::of(&parsed);
        let shape = match sequences(&parsed) {
            Some(sequences) => Shape::Sequences(sequences),
            None => Shape::Engine(build(pattern, &anchored(&inner))?),
        };
        Ok(Self { pattern: pattern.into(), prefix: parts.prefix(), suffix: parts.suffix(), shape })
    }

    /// Whether all of `text` fits.
    #[inline]
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        match &self.shape {
            Shape::Sequences(sequences) => sequences.iter().any(|sequence| sequence.is_match(text)),
            Shape::Engine(regex) => regex.is_match(text),
        }
    }

    /// The pattern as written.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Every text that fits starts with this.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Every text that fits ends in this.
    pub(crate) fn suffix(&self) -> &[u8] {
        &self.suffix
    }

    /// The anchored pattern in the syntax of the `regex` crate.
    pub(crate) fn anchored(&self) -> Cow<'_, str> {
        match &self.shape {
            Shape::Engine(regex) => regex.as_str().into(),
            // Has been translated before.
            Shape::Sequences(_) => {
                re2::translate(&self.pattern).map(|inner| anchored(&inner)).unwrap_or_default().into()
            }
        }
    }
}

/// Compiled patterns by their text, so that rules with the same pattern share one.
#[derive(Debug, Default)]
pub struct RegexCache {
    compiled: HashMap<Box<str>, Arc<FullRegex>>,
}

impl RegexCache {
    /// # Errors
    ///
    /// If `pattern` is not valid in RE2 or too large.
    pub fn compile(&mut self, pattern: &str) -> Result<Arc<FullRegex>, RegexError> {
        if let Some(known) = self.compiled.get(pattern) {
            return Ok(Arc::clone(known));
        }
        let regex = Arc::new(FullRegex::compile(pattern)?);
        self.compiled.insert(pattern.into(), Arc::clone(&regex));
        Ok(regex)
    }

    /// Forgets the patterns that nobody uses any more.
    pub fn shrink(&mut self) {
        self.compiled.retain(|_, regex| Arc::strong_count(regex) > 1);
    }
}

/// Compiles an RE2 pattern that may match anywhere, for search and replace. Groups keep their numbers.
///
/// # Errors
///
/// If `pattern` is not valid in RE2 or too large.
pub fn search_regex(pattern: &str) -> Result<Regex, RegexError> {
    build(pattern, &translate(pattern)?)
}

fn anchored(translated: &str) -> String {
    format!(r"\A(?:{translated})\z")
}

fn translate(pattern: &str) -> Result<String, RegexError> {
    re2::translate(pattern).map_err(|source| RegexError::Syntax { pattern: pattern.to_owned(), source })
}

/// What is left to refuse after translation, such as an unknown `\p{name}`, is refused here.
fn parse(pattern: &str, translated: &str) -> Result<Hir, RegexError> {
    ParserBuilder::new().utf8(false).nest_limit(NEST_LIMIT).build().parse(translated).map_err(|error| {
        let reason = match error {
            regex_syntax::Error::Parse(error) => error.kind().to_string(),
            regex_syntax::Error::Translate(error) => error.kind().to_string(),
            other => other.to_string(),
        };
        RegexError::Syntax { pattern: pattern.to_owned(), source: SyntaxError::Other { reason } }
    })
}

fn build(pattern: &str, translated: &str) -> Result<Regex, RegexError> {
    RegexBuilder::new(translated).size_limit(SIZE_LIMIT).nest_limit(NEST_LIMIT).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => RegexError::TooLarge { pattern: pattern.to_owned() },
        other => {
            let source = SyntaxError::Other { reason: other.to_string() };
            RegexError::Syntax { pattern: pattern.to_owned(), source }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_patterns_share_one_compiled_form() {
        let mut cache = RegexCache::default();
        let first = cache.compile("/a[0-9]+").unwrap();
        assert!(Arc::ptr_eq(&first, &cache.compile("/a[0-9]+").unwrap()));
        cache.compile("/b").unwrap();
        cache.shrink();
        assert_eq!(cache.compiled.len(), 1);
    }

    #[test]
    fn too_large_is_said() {
        let error = FullRegex::compile(r"((\pL{100}){100}){10}").unwrap_err();
        assert!(matches!(error, RegexError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn search_finds_groups_anywhere() {
        let regex = search_regex(r"/v(\d+)/").unwrap();
        assert_eq!(&regex.captures(b"/a/v12/b").unwrap()[1], b"12");
    }
}
