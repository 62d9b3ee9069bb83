//! Request targets and what replaces parts of them.

use serde::{Deserialize, Serialize};

use super::text;

text! {
    /// A path, or path and query.
    PathText, |text| text.starts_with(b"/") && is_path_text(text),
    "a path: it begins with a slash and has neither blanks nor control characters nor #"
}

text! {
    /// What stands in place of a part of a path; may be empty.
    PathPiece, is_path_text,
    "text for a path, which has neither blanks nor control characters nor #"
}

/// Whether a text can stand in a request target (RFC 9112 §3.2): no blank or line end that would end the target, no
/// fragment that would be cut from it.
#[must_use]
pub fn is_path_text(text: &[u8]) -> bool {
    // Without an early end the loop is one of vectors.
    !text.iter().fold(false, |bad, byte| bad | (*byte <= b' ') | (*byte == 0x7f) | (*byte == b'#'))
}

/// A scheme that a gateway serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl TryFrom<&str> for Scheme {
    type Error = super::TextError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        match text {
            "http" => Ok(Self::Http),
            "https" => Ok(Self::Https),
            _ => Err(super::TextError::Invalid { text: text.to_owned(), expected: "http or https" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_target_is_no_path() {
        for text in ["/", "/a?b=c", "/%20", "/\u{e4}", "//x", "/a\\b"] {
            assert!(PathText::try_from(text).is_ok(), "{text:?}");
        }
        for text in ["", "a", "/a b", "/a\tb", "/a\r\nHost: b", "/a\nb", "/a\0", "/a#b", "/a\x7f", "/\x1b"] {
            assert!(PathText::try_from(text).is_err(), "{text:?}");
        }
        for text in ["", "v1/", "?", "\\1"] {
            assert!(PathPiece::try_from(text).is_ok(), "{text:?}");
        }
        assert!(PathPiece::try_from("x HTTP/1.1\r\n").is_err());
    }

    #[test]
    fn schemes_are_two() {
        assert_eq!(serde_json::to_string(&Scheme::Https).unwrap(), r#""https""#);
        assert!(serde_json::from_str::<Scheme>(r#""javascript""#).is_err());
    }
}
