//! A compiled condition on one text.

use std::fmt;
use std::sync::Arc;

use crate::regex::FullRegex;

/// Case is folded for ASCII letters only, as Envoy does.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    /// Lower case; compared without regard to case.
    ExactFold(Box<[u8]>),
    /// Lower case; compared without regard to case.
    PrefixFold(Box<[u8]>),
    Regex(Arc<FullRegex>),
}

impl Text {
    pub(crate) fn exact(value: &str, ignore_case: bool) -> Self {
        match ignore_case {
            true => Self::ExactFold(value.to_ascii_lowercase().into_bytes().into()),
            false => Self::Exact(value.as_bytes().into()),
        }
    }

    pub(crate) fn prefix(value: &str, ignore_case: bool) -> Self {
        match ignore_case {
            true => Self::PrefixFold(value.to_ascii_lowercase().into_bytes().into()),
            false => Self::Prefix(value.as_bytes().into()),
        }
    }

    pub(crate) fn is_match(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => value == &**text,
            Self::Prefix(text) => value.starts_with(text),
            Self::ExactFold(text) => value.eq_ignore_ascii_case(text),
            Self::PrefixFold(text) => value.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text)),
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, text, note) = match self {
            Self::Exact(text) => ("exact", &**text, ""),
            Self::Prefix(text) => ("prefix", &**text, ""),
            Self::ExactFold(text) => ("exact", &**text, " in any case"),
            Self::PrefixFold(text) => ("prefix", &**text, " in any case"),
            Self::Regex(regex) => ("regex", regex.pattern().as_bytes(), ""),
        };
        write!(f, "{kind} {:?}{note}", String::from_utf8_lossy(text))
    }
}
