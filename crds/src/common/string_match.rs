//! A condition on a text (docs/semantics.md §1.7).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `exact`, `prefix` or `regex`; none of them means "is present". The schema forbids more than one, which whoever
/// interprets the object reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct StringMatch {
    /// The whole text, letter by letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// How the text begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// A regular expression in RE2 syntax that the whole text must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
}

impl StringMatch {
    /// How many of the alternatives are given: 0 is a presence match, more than 1 a mistake.
    #[must_use]
    pub fn alternatives(&self) -> usize {
        let Self { exact, prefix, regex } = self;
        [exact, prefix, regex].into_iter().flatten().count()
    }
}
