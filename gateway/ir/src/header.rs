//! Changes to header fields.

use serde::{Deserialize, Serialize};

use crate::text::{HeaderFormat, HeaderName};

/// Edits of both directions, in the order in which they are carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderEdits {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request: Vec<HeaderOp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response: Vec<HeaderOp>,
}

impl HeaderEdits {
    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.request.is_empty() && self.response.is_empty()
    }
}

/// One change. A value that turns out empty changes nothing
/// (docs/semantics.md §3.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HeaderOp {
    Remove {
        name: HeaderName,
    },
    /// Replaces every line of that name by one.
    Set {
        name: HeaderName,
        value: HeaderFormat,
    },
    /// Adds a line, whatever is there.
    Append {
        name: HeaderName,
        value: HeaderFormat,
    },
}
