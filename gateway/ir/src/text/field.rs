//! Names and values of header fields (RFC 9110 §5).

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::{TextError, text};
use crate::format::{Format, Segment};

text! {
    /// The name of a header field in lower case.
    HeaderName, |text| !text.is_empty() && text.iter().all(|byte| is_name_byte(*byte)),
    "the name of a header in lower case"
}

text! {
    /// A value, or a list of them, as it is sent; may be empty.
    HeaderText, is_field_text,
    "a header value, which has no control characters"
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a text can stand in a field's value: a tab is the only control character there.
#[must_use]
pub fn is_field_text(text: &[u8]) -> bool {
    !text.iter().fold(false, |bad, byte| bad | (*byte < b' ' && *byte != b'\t') | (*byte == 0x7f))
}

/// A value with operators whose literal text can stand in a header. What operators yield is looked at when it is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Format", into = "Format")]
pub struct HeaderFormat(Format);

impl TryFrom<Format> for HeaderFormat {
    type Error = TextError;

    fn try_from(format: Format) -> Result<Self, TextError> {
        if format.text().len() > super::MAX_TEXT_BYTES {
            return Err(TextError::TooLong { length: format.text().len() });
        }
        let bad = format.segments().iter().find_map(|segment| match segment {
            Segment::Literal(text) if !is_field_text(text.as_bytes()) => Some(text.clone()),
            Segment::Literal(_) | Segment::Operator(_) => None,
        });
        match bad {
            Some(text) => Err(TextError::Invalid { text, expected: HeaderText::EXPECTED }),
            None => Ok(Self(format)),
        }
    }
}

impl From<HeaderFormat> for Format {
    fn from(format: HeaderFormat) -> Self {
        format.0
    }
}

impl Deref for HeaderFormat {
    type Target = Format;

    fn deref(&self) -> &Format {
        &self.0
    }
}

impl std::fmt::Display for HeaderFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_and_values_one_line() {
        for name in ["x-a", "x_a", "x!", "1"] {
            assert!(HeaderName::try_from(name).is_ok(), "{name}");
        }
        for name in ["", "X-A", "x a", "x:", ":path", "x\r\n", "\u{e4}"] {
            assert!(HeaderName::try_from(name).is_err(), "{name}");
        }
        assert!(HeaderText::try_from("a, b\tc \u{e4}").is_ok());
        assert!(HeaderText::try_from("a\r\nset-cookie: x").is_err());
    }

    #[test]
    fn a_format_for_a_header_has_one_line_too() {
        assert!(serde_json::from_str::<HeaderFormat>(r#""a %REQ(X)%""#).is_ok());
        for bad in [r#""a\r\nb: c""#, r#""%REQ(X)%\n""#, r#""\u0000""#] {
            assert!(serde_json::from_str::<HeaderFormat>(bad).is_err(), "{bad}");
        }
    }
}
