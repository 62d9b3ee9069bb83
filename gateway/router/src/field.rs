//! The parts of a request that conditions look at, and how their values are read.

use std::fmt;
use std::sync::Arc;

use crate::view::RequestView;

/// A part of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The normalised path, without query.
    Path,
    Method,
    Scheme,
    /// Port included.
    Authority,
    /// The pseudo header field `:path`.
    PathAndQuery,
    /// A header field, named in lower case.
    Header(Arc<str>),
    /// The first occurrence of a query parameter, not percent-decoded.
    Query(Arc<str>),
}

impl Field {
    /// A header field or pseudo header field; case does not matter.
    #[must_use]
    pub fn header(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        match &*name {
            ":method" => Self::Method,
            ":scheme" => Self::Scheme,
            // To Envoy, `host` is another name for it.
            ":authority" | "host" => Self::Authority,
            ":path" => Self::PathAndQuery,
            name => Self::Header(name.into()),
        }
    }

    /// Calls `f` with each value that `request` has there until it returns true; returns whether one did. Only header
    /// fields have more than one; header fields and query parameters may have none.
    pub(crate) fn any(&self, request: &impl RequestView, f: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        match self {
            Self::Path => f(request.path()),
            Self::Method => f(request.method()),
            Self::Scheme => f(request.scheme()),
            Self::Authority => f(request.authority()),
            Self::PathAndQuery => f(request.path_and_query()),
            Self::Header(name) => request.any_header(name, f),
            Self::Query(name) => parameter(request.query(), name.as_bytes()).is_some_and(f),
        }
    }

    pub(crate) fn is_present(&self, request: &impl RequestView) -> bool {
        match self {
            Self::Path | Self::Method | Self::Scheme | Self::Authority | Self::PathAndQuery => true,
            Self::Header(name) => request.has_header(name),
            Self::Query(name) => parameter(request.query(), name.as_bytes()).is_some(),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path => f.write_str("path"),
            Self::Method => f.write_str("method"),
            Self::Scheme => f.write_str("scheme"),
            Self::Authority => f.write_str("authority"),
            Self::PathAndQuery => f.write_str("header :path"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Query(name) => write!(f, "query parameter {name}"),
        }
    }
}

/// The value of the first parameter of that name; `?k` and `?k=` both give the empty text (docs/semantics.md §3.3).
fn parameter<'a>(query: Option<&'a [u8]>, name: &[u8]) -> Option<&'a [u8]> {
    query?.split(|&byte| byte == b'&').find_map(|pair| match pair.strip_prefix(name)? {
        [] => Some(&[][..]),
        [b'=', value @ ..] => Some(value),
        _ => None,
    })
}
