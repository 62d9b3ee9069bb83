//! Mistakes in a MeshConfig one by one: to the object that holds its text they are a single one.

use crds::{Body, Object, yaml};
use translate::{Problem, Report};

use super::claim;
use crate::diagnostic::Diagnostic;

const TEXT: &str = "data.mesh";

/// A report as what it is made of: itself, or every mistake in the text it is about.
pub(super) fn diagnostics(report: &Report, object: &Object) -> Vec<Diagnostic> {
    let whole = claim::diagnostic(report);
    if !matches!(report.problem, Problem::BadMeshConfig { .. }) || report.field != TEXT {
        return vec![whole];
    }
    let Body::ConfigMap(map) = &object.body else { return vec![whole] };
    let Some(Err(errors)) = map.data.get("mesh").map(|text| yaml::read_mesh_config(text)) else { return vec![whole] };
    let single = |error: yaml::ReadError| {
        let field = if error.path.is_empty() { TEXT.to_owned() } else { format!("{TEXT}.{}", error.path) };
        let place = if error.syntax { format!("line {} of the text: ", error.position.line) } else { String::new() };
        let message = format!("{place}{}; the last good mesh configuration stays in force", error.message);
        Diagnostic { field, message, ..whole.clone() }
    };
    errors.into_iter().map(single).collect()
}
