//! The text of a MeshConfig, as ConfigMap `istio` holds it under `mesh`.

use super::decode::{Problems, typed};
use super::tree::{self, Tree};
use super::{ReadError, Spans, split, unknown};
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

/// Where the fields of a MeshConfig are in its text, be they right or wrong; `None` where the text is no YAML.
#[must_use]
pub fn mesh_config_spans(text: &str) -> Option<Spans> {
    let tree = single_tree(text).ok()??;
    Some(tree.root.into_parts().1)
}

/// The first document of a text, if it has one.
fn single_tree(text: &str) -> Result<Option<Tree>, ReadError> {
    let Some(chunk) = split::chunks(text).into_iter().next() else { return Ok(None) };
    let (trees, broken) = tree::read(chunk);
    match broken {
        Some(error) => Err(error),
        None => Ok(trees.into_iter().next()),
    }
}

/// Reads the text of a MeshConfig; an empty one is a MeshConfig without settings.
///
/// # Errors
/// Everything that is wrong with it; a field that is not known is not.
pub fn read_mesh_config(text: &str) -> Result<MeshConfigText, Vec<ReadError>> {
    let Some(tree) = single_tree(text).map_err(|error| vec![error])? else { return Ok(MeshConfigText::default()) };
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
