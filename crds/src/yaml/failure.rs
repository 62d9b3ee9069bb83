//! Documents that could not be read at all, and what can be told about them nevertheless.

use super::spans::SpanNode;
use super::split::Chunk;
use super::{Document, Failure, MAX_DOCUMENT_BYTES, Outcome, Position, ReadError, Spans};
use crate::object::{DEFAULT_NAMESPACE, ObjectKey, ObjectKind};

pub(super) fn too_large(chunk: Chunk<'_>) -> Document {
    let position = start_of(chunk);
    let message = format!("the document is larger than {MAX_DOCUMENT_BYTES} bytes");
    syntax(chunk, ReadError { path: String::new(), message, position, syntax: true })
}

pub(super) fn syntax(chunk: Chunk<'_>, error: ReadError) -> Document {
    let spans = Spans::new(SpanNode { value: start_of(chunk), ..SpanNode::default() });
    let failure = Failure { object: guess_identity(chunk.text), guessed: true, errors: vec![error] };
    Document { spans, outcome: Outcome::Failed(failure) }
}

fn start_of(chunk: Chunk<'_>) -> Position {
    Position { line: chunk.lines + 1, column: 1, offset: chunk.offset, length: 0 }
}

/// Kind and name by the looks of the lines, for a text without structure. Good for a message; nothing may rely on it.
fn guess_identity(text: &str) -> Option<ObjectKey> {
    let mut kind = None;
    let mut name = None;
    let mut namespace = None;
    let mut in_metadata = false;
    let mut indent = None;
    for line in text.lines() {
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let depth = line.len() - content.len();
        if depth == 0 {
            in_metadata = content.trim_end() == "metadata:";
            if let Some(word) = field(content, "kind") {
                kind = kind.or_else(|| ObjectKind::ALL.into_iter().find(|kind| kind.as_str() == word));
            }
        } else if in_metadata && *indent.get_or_insert(depth) == depth {
            name = name.or_else(|| field(content, "name"));
            namespace = namespace.or_else(|| field(content, "namespace"));
        }
    }
    let kind = kind?;
    let namespace = if kind.is_namespaced() { namespace.unwrap_or(DEFAULT_NAMESPACE) } else { "" };
    Some(ObjectKey::new(kind, namespace, name?))
}

fn field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let value = line.strip_prefix(key)?.strip_prefix(':')?.split(" #").next()?;
    Some(value.trim().trim_matches(['"', '\''])).filter(|value| !value.is_empty())
}
