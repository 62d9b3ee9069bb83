//! Texts that reach a wire. Each type has one grammar and no constructor that goes around it, decoding included: a value
//! of these types cannot end a line, a request target or a host name early (docs/security.md, C-5). Encoded they are
//! the plain text or number.

mod authority;
mod field;
mod path;
mod status;

pub use authority::{Authority, HostPort, parts, split};
pub use field::{HeaderFormat, HeaderName, HeaderText, is_field_text};
pub use path::{PathPiece, PathText, Scheme, is_path_text};
pub use status::{RedirectStatus, ReplyStatus};

/// Bytes of one text. More fits into no head.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Why a text is not what it is to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("{text:?} is not {expected}")]
    Invalid { text: String, expected: &'static str },
    #[error("{length} bytes of text; at most {MAX_TEXT_BYTES} are allowed")]
    TooLong { length: usize },
}

/// Defines a text with a grammar.
macro_rules! text {
    ($(#[$doc:meta])* $type:ident, $is:expr, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Box<str>);

        impl $type {
            /// What a text of this type is, for people.
            pub const EXPECTED: &'static str = $expected;

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        impl TryFrom<&str> for $type {
            type Error = $crate::text::TextError;

            fn try_from(text: &str) -> Result<Self, Self::Error> {
                if text.len() > $crate::text::MAX_TEXT_BYTES {
                    return Err($crate::text::TextError::TooLong { length: text.len() });
                }
                let is: fn(&[u8]) -> bool = $is;
                if is(text.as_bytes()) {
                    Ok(Self(text.into()))
                } else {
                    Err($crate::text::TextError::Invalid { text: text.to_owned(), expected: $expected })
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = $crate::text::TextError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::try_from(text.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::text::TextError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::try_from(text)
            }
        }

        impl From<$type> for String {
            fn from(text: $type) -> Self {
                text.0.into()
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}
use text;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded() {
        let long = format!("/{}", "a".repeat(MAX_TEXT_BYTES));
        assert_eq!(PathText::try_from(&*long), Err(TextError::TooLong { length: long.len() }));
        assert!(PathText::try_from(&long[1..MAX_TEXT_BYTES]).is_err(), "no slash");
        assert!(PathText::try_from(&long[..MAX_TEXT_BYTES]).is_ok());
    }

    #[test]
    fn encoded_they_are_the_plain_text_and_decoding_asks_the_grammar() {
        let path: PathText = "/a?b=%20".parse().unwrap();
        assert_eq!(serde_json::to_string(&path).unwrap(), r#""/a?b=%20""#);
        assert_eq!(serde_json::from_str::<PathText>(r#""/a?b=%20""#).unwrap(), path);
        for bad in [r#""/a\r\nx: y""#, r#""/a b""#, r#""a""#, r##""/a#b""##, r#""/\u0000""#] {
            assert!(serde_json::from_str::<PathText>(bad).is_err(), "{bad}");
        }
    }
}
