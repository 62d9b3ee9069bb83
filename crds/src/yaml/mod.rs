//! Text to objects: YAML (or JSON, which is YAML) with several documents, each read strictly and on its own, so that a
//! mistake in one hides nothing of the others. Says where every field stands. Reads text only; opens no files.

pub(crate) mod decode;
mod failure;
mod mesh;
mod nested;
mod scalar;
mod spans;
mod split;
mod suggest;
mod tree;
mod unknown;

use serde_json::Value;

use crate::object::{Object, ObjectKey};

pub use mesh::{MeshConfigText, mesh_config_spans, read_mesh_config};
pub use spans::{Position, Spans};

/// The largest document that is read, as on an API server.
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;

/// One object of a text, or what stands in its place.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where the fields are.
    pub spans: Spans,
    pub outcome: Outcome,
}

/// What became of a document.
#[derive(Clone, Debug)]
pub enum Outcome {
    Object(Object),
    /// An object of a kind that is not used here.
    Skipped {
        api_version: String,
        kind: String,
        /// `namespace/name`, or what there is of it.
        name: String,
    },
    Failed(Failure),
    /// Nothing but comments.
    Empty,
}

/// Why a document is not an object; as many reasons as could be found at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which object it would have been, where that much could be read.
    pub object: Option<ObjectKey>,
    /// Whether the name is a guess, because the text has no structure that could be trusted.
    pub guessed: bool,
    /// Never empty.
    pub errors: Vec<ReadError>,
}

/// One mistake in a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", prefix(path))]
pub struct ReadError {
    /// The field, such as `spec.http[0].match[1].uri`; empty for mistakes in the text as such.
    pub path: String,
    pub message: String,
    pub position: Position,
    /// Whether this is a mistake in YAML as such rather than in what it says.
    pub syntax: bool,
}

fn prefix(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

/// Reads every document of a text, in order. Documents without content are left out.
#[must_use]
pub fn read(text: &str) -> Vec<Document> {
    let mut documents = Vec::new();
    for chunk in split::chunks(text) {
        if chunk.text.len() > MAX_DOCUMENT_BYTES {
            documents.push(failure::too_large(chunk));
            continue;
        }
        let (trees, broken) = tree::read(chunk);
        for tree in trees {
            let (value, spans) = tree.root.into_parts();
            decode_tree(value, spans, tree.mistakes, &mut documents);
        }
        if let Some(error) = broken {
            documents.push(failure::syntax(chunk, error));
        }
    }
    documents.iter_mut().for_each(|document| nested::locate_mesh_config(document, text));
    documents
}

fn decode_tree(value: Value, spans: Spans, mistakes: Vec<ReadError>, documents: &mut Vec<Document>) {
    match value {
        Value::Null if mistakes.is_empty() => documents.push(Document { spans, outcome: Outcome::Empty }),
        // A mistake inside a list's items cannot be told apart from one beside them: the whole list fails.
        Value::Object(mut fields) if mistakes.is_empty() && decode::is_list(&fields) => {
            let Some(Value::Array(items)) = fields.remove("items") else { return };
            for (index, item) in items.into_iter().enumerate() {
                decode_tree(item, spans.subtree("items", index), Vec::new(), documents);
            }
        }
        value => {
            let outcome = decode::decode(value, &spans, mistakes);
            documents.push(Document { spans, outcome });
        }
    }
}

#[cfg(test)]
mod tests;
