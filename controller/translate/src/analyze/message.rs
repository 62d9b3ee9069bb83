//! One message about one object.

use std::fmt;

use crds::ObjectKey;

use super::code::{Code, SCHEMA_ERROR, SCHEMA_WARNING};
use crate::report::{Level, Report};

/// What an analyzer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub code: Code,
    pub object: ObjectKey,
    /// As in [`Report::field`]; empty for the object as a whole.
    pub field: String,
    pub text: String,
}

impl Message {
    pub(super) fn new(code: Code, object: ObjectKey, field: impl Into<String>, text: impl Into<String>) -> Self {
        Self { code, object, field: field.into(), text: text.into() }
    }

    /// What could not even be read.
    #[must_use]
    pub fn unreadable(object: ObjectKey, field: &str, text: &str) -> Self {
        Self::new(SCHEMA_ERROR, object, field, text)
    }
}

impl From<&Report> for Message {
    fn from(report: &Report) -> Self {
        let Report { object, field, problem } = report;
        let (code, _) = problem.analysis();
        let otherwise = if problem.level() == Level::Error { SCHEMA_ERROR } else { SCHEMA_WARNING };
        let code = Code::find(code).copied().unwrap_or(otherwise);
        let text = if field.is_empty() { problem.to_string() } else { format!("{field}: {problem}") };
        Self { code, object: object.clone(), field: field.clone(), text }
    }
}

impl fmt::Display for Message {
    /// `Error [IST0101] (Gateway edge/public) text`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, object, field: _, text } = self;
        let level = match code.level {
            Level::Info => "Info",
            Level::Warning => "Warning",
            Level::Error => "Error",
        };
        write!(f, "{level} [{}] ({object}) {text}", code.code)
    }
}
