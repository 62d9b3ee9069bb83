//! What the source tells: changes of objects, in batches. Plain data.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crds::{Object, ObjectKey};
use serde_json::Value;

/// Names a Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretRef {
    pub namespace: String,
    pub name: String,
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Changes that were noticed since the batch before. The first one has the whole state of every kind.
#[derive(Clone, Debug)]
pub struct KubeBatch {
    pub events: Vec<ObjectEvent>,
    /// Secrets that are wanted and whose state is now known: there, not there, or not to be had. Told once after each
    /// time they began to be wanted.
    pub answered: Vec<SecretRef>,
    /// When the first of it was noticed.
    pub noticed: Instant,
    /// Whether every kind has been listed completely.
    pub synced: bool,
}

/// One change of an object. Several of one object are told in their order, and only the last of each sort.
#[derive(Clone, Debug)]
pub enum ObjectEvent {
    Applied {
        object: Arc<Object>,
        revision: Revision,
    },
    /// It is there but cannot be read as its kind; the last good version stays in force.
    Unreadable {
        key: ObjectKey,
        revision: Revision,
        /// Such as `spec.http[0].weight: expected a number`.
        errors: Vec<String>,
    },
    Deleted {
        key: ObjectKey,
    },
}

impl ObjectEvent {
    /// The object it is about.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        match self {
            Self::Applied { object, .. } => object.key(),
            Self::Unreadable { key, .. } | Self::Deleted { key } => key.clone(),
        }
    }
}

/// What the API server says about a version of an object, apart from what the user wrote.
#[derive(Clone, Debug)]
pub struct Revision {
    pub uid: String,
    /// Counts changes of the spec; 0 for kinds that do not count them.
    pub generation: i64,
    pub resource_version: String,
    /// The version it was read in, such as `networking.istio.io/v1`.
    pub api_version: String,
    pub noticed: Instant,
    /// Of Istio's kinds and of Ingress, as it stands in the object.
    pub status: Option<StatusText>,
}

/// An object's status as JSON. Kept as text, which takes a fifth of what its values would: it is looked at only when there
/// is something to write.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusText(Box<str>);

impl StatusText {
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).expect("it was made of a value")
    }
}

impl From<Value> for StatusText {
    fn from(value: Value) -> Self {
        Self(value.to_string().into_boxed_str())
    }
}

impl fmt::Debug for StatusText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
