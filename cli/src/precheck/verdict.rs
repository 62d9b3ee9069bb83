//! One thing that was looked at.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    /// It can be installed; this is worth a thought before.
    Warning,
    /// It cannot be installed before this is changed.
    Error,
}

/// Scripts read this: fields are added, never renamed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) level: Level,
    pub(super) what: &'static str,
    pub(super) text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

impl Verdict {
    pub(super) fn ok(what: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Ok, what, text: text.into(), fix: None }
    }

    pub(super) fn warning(what: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Warning, what, text: text.into(), fix: Some(fix.into()) }
    }

    pub(super) fn error(what: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Error, what, text: text.into(), fix: Some(fix.into()) }
    }
}
