//! Statuses that the proxy answers with itself.

use serde::{Deserialize, Serialize};

/// A status out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no status for this: {1}")]
pub struct StatusError(u16, &'static str);

/// Defines a status with a range.
macro_rules! status {
    ($(#[$doc:meta])* $type:ident, $range:pat, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "u16", into = "u16")]
        pub struct $type(u16);

        impl $type {
            #[must_use]
            pub fn get(self) -> u16 {
                self.0
            }
        }

        impl TryFrom<u16> for $type {
            type Error = StatusError;

            fn try_from(status: u16) -> Result<Self, StatusError> {
                match status {
                    $range => Ok(Self(status)),
                    _ => Err(StatusError(status, $expected)),
                }
            }
        }

        impl From<$type> for u16 {
            fn from(status: $type) -> Self {
                status.0
            }
        }
    };
}

status! {
    /// Of a final response.
    ReplyStatus, 200..=599, "200 to 599"
}
status! {
    /// Of a redirect.
    RedirectStatus, 301 | 302 | 303 | 307 | 308, "301, 302, 303, 307 or 308"
}

impl ReplyStatus {
    pub const INTERNAL_ERROR: Self = Self(500);
    pub const UNAVAILABLE: Self = Self(503);
}

impl RedirectStatus {
    pub const MOVED_PERMANENTLY: Self = Self(301);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_a_range() {
        assert_eq!(serde_json::from_str::<ReplyStatus>("200").unwrap().get(), 200);
        for bad in ["100", "199", "600", "70000"] {
            assert!(serde_json::from_str::<ReplyStatus>(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<RedirectStatus>("304").is_err());
        assert_eq!(serde_json::to_string(&RedirectStatus::MOVED_PERMANENTLY).unwrap(), "301");
    }
}
