//! The kinds' definitions for an API server (CustomResourceDefinitions), made from the types: descriptions are their doc
//! comments, rules those of Istio's admission that a schema can express (docs/semantics.md, the marks **V:**). Written to
//! files by `make crds`; nothing here runs in a server.

mod definition;
mod kinds;
mod rules;
mod status;
mod structural;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

/// Why a definition cannot be made: types and rules do not fit each other.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("there is no type {name}, which {by} refers to")]
    UnknownType { name: String, by: String },
    #[error("a rule is for {of}.{at}, which does not exist")]
    NoSuchField { of: String, at: String },
    #[error("a rule is for type {of}, which no kind has")]
    UnusedRule { of: String },
    #[error("the schema of {kind} says something that Kubernetes has no word for: {what}")]
    NotRepresentable { kind: String, what: String },
    #[error("the schema of {kind} is not one of Kubernetes'")]
    NotASchema {
        kind: String,
        #[source]
        source: serde_json::Error,
    },
}

/// The definitions of all of Istio's kinds, in the order of their names.
///
/// # Errors
/// When types and rules do not fit each other, which a test finds.
pub fn definitions() -> Result<Vec<CustomResourceDefinition>, SchemaError> {
    let mut used = rules::Used::default();
    let mut made = kinds::all()
        .into_iter()
        .map(|kind| definition::definition(kind, &mut used))
        .collect::<Result<Vec<_>, SchemaError>>()?;
    used.all_used()?;
    made.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    Ok(made)
}
