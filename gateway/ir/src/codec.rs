//! Resources as bytes: written once, read strictly.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::resource::{Encoded, Resource};

/// Why bytes are not a resource of this version of the contract.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("body of {key}")]
    Body {
        key: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("body is that of {found}, expected {key}")]
    OtherResource { key: String, found: String },
}

/// Writes a resource down; its version is a hash of the bytes.
#[must_use]
pub fn encode(resource: &Resource) -> Encoded {
    let body = serde_json::to_vec(resource).expect("plain data without maps of non-string keys serialises");
    let mut version = String::with_capacity(32);
    for byte in &Sha256::digest(&body)[..16] {
        let _ = write!(version, "{byte:02x}");
    }
    Encoded { key: resource.key(), version: Arc::from(version), body: Arc::from(body) }
}

/// Reads a resource back. Unknown fields and variants are refused: a proxy never guesses what a newer controller
/// means.
///
/// # Errors
/// When the body is not that resource, strictly read.
pub fn decode(encoded: &Encoded) -> Result<Resource, DecodeError> {
    let resource: Resource = serde_json::from_slice(&encoded.body)
        .map_err(|source| DecodeError::Body { key: encoded.key.to_string(), source })?;
    let found = resource.key();
    if found != encoded.key {
        return Err(DecodeError::OtherResource { key: encoded.key.to_string(), found: found.to_string() });
    }
    Ok(resource)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Host, RouteTable};

    fn table() -> Resource {
        Resource::RouteTable(RouteTable {
            name: "http.80".into(),
            https_redirect: vec![Host::from("*.shop.test")],
            namespaces_apart: false,
        })
    }

    #[test]
    fn what_is_written_is_read_back() {
        let encoded = encode(&table());
        assert_eq!(decode(&encoded).unwrap(), table());
        assert_eq!(encoded.version, encode(&table()).version);
    }

    #[test]
    fn unknown_fields_and_variants_are_refused() {
        for body in [
            r#"{"route_table":{"name":"http.80","https_redirect":[],"extra":1}}"#,
            r#"{"hologram":{}}"#,
            r#"{"route_table":{"name":"http.81","https_redirect":[]}}"#,
        ] {
            let encoded = Encoded { body: Arc::from(body.as_bytes()), ..encode(&table()) };
            assert!(decode(&encoded).is_err(), "{body}");
        }
    }
}
