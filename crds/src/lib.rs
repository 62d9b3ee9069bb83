//! What users write: Istio's and Kubernetes' objects, field by field, and the reader that turns YAML into them with
//! the position of every field.
//!
//! Nothing here says what a field *means*: no defaults beyond the protocol's zero values, no checks beyond the shape
//! that an API server's schema would enforce (docs/semantics.md §1.1).

pub mod common;
pub mod json;
pub mod mesh_config;
pub mod networking;
pub mod object;
pub mod schema;
pub mod security;
pub mod telemetry;
pub mod yaml;

pub use common::duration;
pub use common::selector::{LabelSelector, LabelSelectorRequirement, PolicySelector, WorkloadSelector};
pub use common::string_match::StringMatch;
pub use common::target::PolicyTargetReference;
pub use mesh_config::MeshConfig;
pub use networking::destination_rule::*;
pub use networking::gateway::*;
pub use networking::service_entry::*;
pub use networking::sidecar::*;
pub use networking::virtual_service::*;
pub use networking::workload_entry::WorkloadEntry;
pub use networking::workload_group::*;
pub use object::{Body, Meta, Object, ObjectKey, ObjectKind};
pub use security::authorization_policy::*;
pub use security::peer_authentication::*;
pub use security::request_authentication::*;
