//! One rule's conditions, compiled: the meaning of a match (docs/semantics.md §1.7, §3.3). Knows nothing of other rules.

use std::fmt;

use crate::condition::{Condition, Test};
use crate::failure::Failure;
use crate::field::Field;
use crate::regex::{RegexCache, RegexError};
use crate::text::Text;
use crate::view::RequestView;

/// A compiled [`ir::RouteMatch`].
#[derive(Clone, Debug)]
pub struct Matcher {
    /// Path, then header fields, then query parameters: cheap ones come first.
    conditions: Box<[Condition]>,
}

/// A match that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("condition on {field}")]
pub struct CompileError {
    pub field: Field,
    pub source: RegexError,
}

impl fmt::Display for Matcher {
    /// `path prefix "/api", header x-a exact "b"`; nothing where there is no condition.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, condition) in self.conditions.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{condition}")?;
        }
        Ok(())
    }
}

impl Matcher {
    /// # Errors
    ///
    /// If a regular expression is not valid or too large.
    pub fn compile(matches: &ir::RouteMatch) -> Result<Self, CompileError> {
        Self::compile_with(matches, &mut RegexCache::default())
    }

    /// Like [`Matcher::compile`], sharing the compiled form of equal patterns through `cache`.
    ///
    /// # Errors
    ///
    /// If a regular expression is not valid or too large.
    pub fn compile_with(matches: &ir::RouteMatch, cache: &mut RegexCache) -> Result<Self, CompileError> {
        let ir::RouteMatch { path, headers, query } = matches;
        let mut conditions = Vec::with_capacity(usize::from(path.is_some()) + headers.len() + query.len());
        if let Some(path) = path {
            let text = match path {
                ir::PathMatch::Exact { value, ignore_case } => Text::exact(value, *ignore_case),
                ir::PathMatch::Prefix { value, ignore_case } => Text::prefix(value, *ignore_case),
                ir::PathMatch::Regex { pattern } => regex(&Field::Path, pattern, cache)?,
            };
            conditions.push(Condition { field: Field::Path, test: Test::Value(text), invert: false });
        }
        for ir::HeaderMatch { name, condition, invert } in headers {
            let field = Field::header(name);
            let test = test(&field, condition, cache)?;
            conditions.push(Condition { field, test, invert: *invert });
        }
        for ir::QueryMatch { name, condition } in query {
            let field = Field::Query(name.as_str().into());
            let test = test(&field, condition, cache)?;
            conditions.push(Condition { field, test, invert: false });
        }
        Ok(Self { conditions: conditions.into() })
    }

    /// Whether every condition holds.
    #[inline]
    pub fn matches(&self, request: &impl RequestView) -> bool {
        self.conditions.iter().all(|condition| condition.holds(request))
    }

    /// The first condition that does not hold; `None` exactly if [`Matcher::matches`].
    pub fn first_failure(&self, request: &impl RequestView) -> Option<Failure> {
        self.conditions.iter().find(|condition| !condition.holds(request)).map(|condition| condition.failure(request))
    }

    /// What each condition that names a value requires of its field, for an index to sort by.
    pub(crate) fn required(&self) -> impl Iterator<Item = (&Field, &Text)> {
        self.conditions.iter().filter_map(|condition| Some((&condition.field, condition.required()?)))
    }
}

fn test(field: &Field, condition: &ir::ValueMatch, cache: &mut RegexCache) -> Result<Test, CompileError> {
    Ok(match condition {
        ir::ValueMatch::Present => Test::Present,
        ir::ValueMatch::Value(ir::StringMatch::Exact(value)) => Test::Value(Text::exact(value, false)),
        ir::ValueMatch::Value(ir::StringMatch::Prefix(value)) => Test::Value(Text::prefix(value, false)),
        ir::ValueMatch::Value(ir::StringMatch::Regex(pattern)) => Test::Value(regex(field, pattern, cache)?),
    })
}

fn regex(field: &Field, pattern: &str, cache: &mut RegexCache) -> Result<Text, CompileError> {
    cache.compile(pattern).map(Text::Regex).map_err(|source| CompileError { field: field.clone(), source })
}
