//! Between the messages of discovery and the types of `ir`. Strict: what is missing or unknown is an error that says
//! so, never a default. Bodies are not looked into.

use std::sync::Arc;

use bytes::Bytes;
use ir::{Encoded, Key, Kind};

use crate::discovery::{Rejected, Resource, ResourceName, ResourceVersion, Subscription};

/// Why a message cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    #[error("there is no kind {kind:?}; a controller or proxy of another version may know it")]
    UnknownKind { kind: String },
    #[error("a {message} names no resource")]
    NoKey { message: &'static str },
    #[error("a {message} of kind {kind} has an empty name")]
    NoName { message: &'static str, kind: Kind },
    #[error("{key} has no version")]
    NoVersion { key: String },
    #[error("the digest of kind {kind} does not have 256 sums")]
    NoDigest { kind: Kind },
    #[error("{key} is refused without a reason")]
    NoReason { key: String },
}

/// Every kind.
pub const KINDS: [Kind; 7] =
    [Kind::Settings, Kind::Secret, Kind::Endpoints, Kind::Cluster, Kind::RouteGroup, Kind::RouteTable, Kind::Listener];

/// The name that stands for every name of a kind.
pub const WILDCARD: &str = "*";

/// A kind as messages spell it, which is as serde does.
#[must_use]
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Settings => "settings",
        Kind::Secret => "secret",
        Kind::Endpoints => "endpoints",
        Kind::Cluster => "cluster",
        Kind::RouteGroup => "route_group",
        Kind::RouteTable => "route_table",
        Kind::Listener => "listener",
    }
}

/// The kind of that spelling.
///
/// # Errors
/// When there is none.
pub fn kind(name: &str) -> Result<Kind, ConvertError> {
    let found = KINDS.into_iter().find(|kind| kind_name(*kind) == name);
    found.ok_or_else(|| ConvertError::UnknownKind { kind: name.chars().take(64).collect() })
}

/// A key that must be there.
///
/// # Errors
/// When it is absent, of an unknown kind, or without a name.
pub fn key(name: Option<ResourceName>, message: &'static str) -> Result<Key, ConvertError> {
    let ResourceName { kind: spelled, name } = name.ok_or(ConvertError::NoKey { message })?;
    let kind = kind(&spelled)?;
    if name.is_empty() {
        return Err(ConvertError::NoName { message, kind });
    }
    Ok(Key { kind, name: Arc::from(name) })
}

impl From<&Key> for ResourceName {
    fn from(key: &Key) -> Self {
        Self { kind: kind_name(key.kind).to_owned(), name: key.name.to_string() }
    }
}

impl TryFrom<ResourceName> for Key {
    type Error = ConvertError;

    fn try_from(name: ResourceName) -> Result<Self, ConvertError> {
        key(Some(name), "resource name")
    }
}

impl From<&Encoded> for Resource {
    /// The body is shared, not copied.
    fn from(encoded: &Encoded) -> Self {
        let Encoded { key, version, body } = encoded;
        Self { key: Some(key.into()), version: version.to_string(), body: Bytes::from_owner(Arc::clone(body)) }
    }
}

impl TryFrom<Resource> for Encoded {
    type Error = ConvertError;

    fn try_from(resource: Resource) -> Result<Self, ConvertError> {
        let Resource { key: name, version, body } = resource;
        let key = key(name, "resource")?;
        let version = some_version(&key, &version)?;
        Ok(Self { key, version, body: Arc::from(&*body) })
    }
}

/// What a proxy has.
#[must_use]
pub fn resource_version(key: &Key, version: &str) -> ResourceVersion {
    ResourceVersion { key: Some(key.into()), version: version.to_owned() }
}

impl TryFrom<ResourceVersion> for (Key, Arc<str>) {
    type Error = ConvertError;

    fn try_from(message: ResourceVersion) -> Result<Self, ConvertError> {
        let ResourceVersion { key: name, version } = message;
        let key = key(name, "resource version")?;
        let version = some_version(&key, &version)?;
        Ok((key, version))
    }
}

/// What a proxy could not use.
#[must_use]
pub fn rejected(key: &Key, version: &str, reason: &str) -> Rejected {
    Rejected { key: Some(key.into()), version: version.to_owned(), reason: reason.to_owned() }
}

/// A refusal as the controller reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub key: Key,
    pub version: Arc<str>,
    pub reason: String,
}

impl TryFrom<Rejected> for Refusal {
    type Error = ConvertError;

    fn try_from(message: Rejected) -> Result<Self, ConvertError> {
        let Rejected { key: name, version, reason } = message;
        let key = key(name, "refusal")?;
        let version = some_version(&key, &version)?;
        if reason.is_empty() {
            return Err(ConvertError::NoReason { key: key.to_string() });
        }
        Ok(Self { key, version, reason })
    }
}

/// Wants these names of a kind.
#[must_use]
pub fn subscription(kind: Kind, names: impl IntoIterator<Item = String>) -> Subscription {
    Subscription { kind: kind_name(kind).to_owned(), names: names.into_iter().collect() }
}

/// Wants everything of a kind.
#[must_use]
pub fn wildcard(kind: Kind) -> Subscription {
    subscription(kind, [WILDCARD.to_owned()])
}

fn some_version(key: &Key, version: &str) -> Result<Arc<str>, ConvertError> {
    if version.is_empty() {
        return Err(ConvertError::NoVersion { key: key.to_string() });
    }
    Ok(Arc::from(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded() -> Encoded {
        ir::codec::encode(&ir::Resource::RouteTable(ir::RouteTable {
            name: "http.80".into(),
            https_redirect: Vec::new(),
            namespaces_apart: false,
        }))
    }

    #[test]
    fn kinds_are_spelled_as_serde_does() {
        for it in KINDS {
            assert_eq!(serde_json::to_value(it).unwrap(), kind_name(it));
            assert_eq!(kind(kind_name(it)), Ok(it));
        }
        // One that is added to `ir` and not here would be named in this error.
        let error = serde_json::from_str::<Kind>("\"hologram\"").unwrap_err().to_string();
        let known = error.matches('`').count() / 2 - 1;
        assert_eq!(known, KINDS.len(), "{error}");
    }

    #[test]
    fn resources_come_back_as_they_were() {
        let encoded = encoded();
        let message = Resource::from(&encoded);
        assert_eq!(message.body.as_ptr(), encoded.body.as_ptr(), "bodies are shared");
        assert_eq!(Encoded::try_from(message), Ok(encoded.clone()));
        let version = resource_version(&encoded.key, &encoded.version);
        assert_eq!(<(Key, Arc<str>)>::try_from(version), Ok((encoded.key.clone(), Arc::clone(&encoded.version))));
        let refused = Refusal::try_from(rejected(&encoded.key, &encoded.version, "too old")).unwrap();
        assert_eq!((refused.key, &*refused.reason), (encoded.key, "too old"));
    }

    #[test]
    fn what_is_missing_or_unknown_is_said() {
        let whole = Resource::from(&encoded());
        let name = |kind: &str, name: &str| Some(ResourceName { kind: kind.to_owned(), name: name.to_owned() });
        let broken = |key, version: &str| {
            let message = Resource { key, version: version.to_owned(), ..whole.clone() };
            Encoded::try_from(message).unwrap_err()
        };
        assert_eq!(broken(None, "1"), ConvertError::NoKey { message: "resource" });
        assert_eq!(broken(name("hologram", "x"), "1"), ConvertError::UnknownKind { kind: "hologram".to_owned() });
        assert_eq!(broken(name("RouteTable", "x"), "1"), ConvertError::UnknownKind { kind: "RouteTable".to_owned() });
        assert!(matches!(broken(name("secret", ""), "1"), ConvertError::NoName { .. }));
        assert!(matches!(broken(name("secret", "x"), ""), ConvertError::NoVersion { .. }));
        let silent = Rejected { reason: String::new(), ..rejected(&encoded().key, "1", "") };
        assert!(matches!(Refusal::try_from(silent), Err(ConvertError::NoReason { .. })));
    }
}
