//! Certificates with their keys.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::SecretName;

/// A server certificate. While the resource is absent, or bad and never was good, servers naming it close their
/// handshakes; others are not touched (docs/semantics.md §2.8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    pub name: SecretName,
    /// PEM, leaf first.
    pub certificate_chain: String,
    pub private_key: PrivateKey,
}

/// A key in PEM. It shows itself to nobody but whoever asks for it by name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PrivateKey(String);

impl PrivateKey {
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.0
    }
}

impl From<String> for PrivateKey {
    fn from(pem: String) -> Self {
        Self(pem)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<private key>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_printed() {
        let secret = Secret {
            name: "kubernetes://shop".into(),
            certificate_chain: "public".into(),
            private_key: PrivateKey::from("hunter2".to_owned()),
        };
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
