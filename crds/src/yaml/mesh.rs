//! The text of a MeshConfig, as ConfigMap `istio` holds it under `mesh`.

use super::decode::{Problems, typed};
use super::split;
use super::{ReadError, Spans, tree, unknown};
use crate::mesh_config::MeshConfig;

/// A MeshConfig that was read.
#[derive(Clone, Debug, Default)]
pub struct MeshConfigText {
    pub config: MeshConfig,
    /// Paths of fields that Istio does not have either.
    pub unknown: Vec<String>,
    /// Where the fields are in the text.
    pub spans: Spans,
}

/// Reads the text of a MeshConfig; an empty one is a MeshConfig without settings.
///
/// # Errors
/// Everything that is wrong with it; a field that is not known is not.
pub fn read_mesh_config(text: &str) -> Result<MeshConfigText, Vec<ReadError>> {
    let Some(chunk) = split::chunks(text).into_iter().next() else { return Ok(MeshConfigText::default()) };
    let (trees, broken) = tree::read(chunk);
    if let Some(error) = broken {
        return Err(vec![error]);
    }
    let Some(tree) = trees.into_iter().next() else { return Ok(MeshConfigText::default()) };
    if !tree.mistakes.is_empty() {
        return Err(tree.mistakes);
    }
    let (mut value, spans) = tree.root.into_parts();
    if value.is_null() {
        return Ok(MeshConfigText { spans, ..MeshConfigText::default() });
    }
    super::decode::drop_nulls(&mut value);
    let written = value.clone();
    let mut problems = Problems::new(&spans);
    let config: Option<MeshConfig> = typed(value, "", &mut problems);
    match config {
        Some(config) if problems.errors.is_empty() => {
            let understood = serde_json::to_value(&config).unwrap_or_default();
            Ok(MeshConfigText { unknown: unknown::fields(&written, &understood), config, spans })
        }
        Some(_) | None => Err(problems.errors),
    }
}
