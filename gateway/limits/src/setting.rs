//! One `NAME=VALUE`.

use std::str::FromStr;

use crate::{Limit, Unit};

/// A bound that a user sets, not yet compared with what exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    name: String,
    value: String,
}

/// Why a setting is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    #[error("{text:?} is not of the form NAME=VALUE")]
    Form { text: String },
    #[error("there is no limit {name}; docs/limits.md lists them")]
    Unknown { name: String },
    #[error("limit {name}: {text:?} is not {expected}")]
    Value { name: String, text: String, expected: &'static str },
    #[error("limit {name}: {value} is not within {least} to {most}")]
    Range { name: String, value: String, least: String, most: String },
}

impl FromStr for Setting {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let (name, value) = text.split_once('=').ok_or_else(|| LimitError::Form { text: text.to_owned() })?;
        let name = name.trim().replace('-', "_");
        if name.is_empty() {
            return Err(LimitError::Form { text: text.to_owned() });
        }
        Ok(Self { name, value: value.trim().to_owned() })
    }
}

impl Setting {
    /// The bound's name, with underscores.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value in the unit of the bound: a number, bytes or milliseconds.
    ///
    /// # Errors
    /// When the text is no such value, or outside the bound's range.
    pub fn value_of(&self, limit: &Limit) -> Result<u64, LimitError> {
        let name = limit.shown_name();
        let expected = match limit.unit {
            Unit::Count => "a number",
            Unit::Bytes => "a size such as 4096, 64KiB or 1MiB",
            Unit::Time => "a time such as 500ms, 10s, 5m or 1h",
        };
        let value = limit.unit.read(&self.value).ok_or_else(|| LimitError::Value {
            name: name.clone(),
            text: self.value.clone(),
            expected,
        })?;
        if !(limit.least..=limit.most).contains(&value) {
            let show = |value| limit.unit.show(value);
            let (value, least, most) = (show(value), show(limit.least), show(limit.most));
            return Err(LimitError::Range { name, value, least, most });
        }
        Ok(value)
    }
}

/// Refuses settings that no struct of bounds took.
///
/// # Errors
/// When a setting is left.
pub fn unknown(rest: &[Setting]) -> Result<(), LimitError> {
    match rest.first() {
        None => Ok(()),
        Some(setting) => Err(LimitError::Unknown { name: setting.name.replace('_', "-") }),
    }
}
