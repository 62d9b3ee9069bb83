//! What an index can sort rules by: the literal text at one end of a field's value.
//!
//! The invariant everything rests on: if a rule matches a request, then some value of the field, read as the selector
//! says, equals or starts with the rule's key.

use std::borrow::Cow;

use crate::field::Field;
use crate::matcher::Matcher;
use crate::text::Text;

/// A field and how its values are read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Selector {
    pub(super) field: Field,
    pub(super) fold: Fold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fold {
    /// As it is.
    Plain,
    /// In lower case, for conditions that ignore case.
    Lower,
    /// From the end, for regular expressions that end in literal text.
    Reversed,
}

impl Fold {
    pub(super) const ALL: [Self; 3] = [Self::Plain, Self::Lower, Self::Reversed];
}

/// What a rule requires of the values that a selector reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key<'a> {
    pub(super) text: Cow<'a, [u8]>,
    /// Whether a value must be equal to the text, or may go on after it.
    pub(super) exact: bool,
}

impl Selector {
    /// The key of a rule; `None` if any value may do.
    pub(super) fn key<'a>(&self, matcher: &'a Matcher) -> Option<Key<'a>> {
        let mut texts = matcher.required().filter(|(field, _)| **field == self.field);
        texts.find_map(|(_, text)| key(text, self.fold))
    }
}

fn key(text: &Text, fold: Fold) -> Option<Key<'_>> {
    let (text, exact): (Cow<'_, [u8]>, bool) = match (fold, text) {
        (Fold::Plain, Text::Exact(text)) | (Fold::Lower, Text::ExactFold(text)) => ((&**text).into(), true),
        (Fold::Plain, Text::Prefix(text)) | (Fold::Lower, Text::PrefixFold(text)) => ((&**text).into(), false),
        (Fold::Plain, Text::Regex(regex)) => (regex.prefix().into(), false),
        (Fold::Reversed, Text::Regex(regex)) => (regex.suffix().iter().rev().copied().collect(), false),
        (Fold::Plain, Text::ExactFold(_) | Text::PrefixFold(_))
        | (Fold::Lower, Text::Exact(_) | Text::Prefix(_) | Text::Regex(_))
        | (Fold::Reversed, Text::Exact(_) | Text::Prefix(_) | Text::ExactFold(_) | Text::PrefixFold(_)) => return None,
    };
    (exact || !text.is_empty()).then_some(Key { text, exact })
}
