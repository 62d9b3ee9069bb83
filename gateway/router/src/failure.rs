//! Why a rule does not match, in words for people. Not for the request path: everything here is owned text.

use std::fmt;

use crate::field::Field;

/// The first condition of a rule that a request does not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub field: Field,
    /// What the rule asks for: `prefix "/api"`, `to be present`.
    pub expected: String,
    /// Every value of the field in the request, in order; none if it has no such field.
    pub found: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, ", self.field, self.expected)?;
        match &*self.found {
            [] => f.write_str("it is absent"),
            values => {
                f.write_str("found ")?;
                for (at, value) in values.iter().enumerate() {
                    let separator = if at == 0 { "" } else { ", " };
                    write!(f, "{separator}{value:?}")?;
                }
                Ok(())
            }
        }
    }
}
