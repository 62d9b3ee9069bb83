//! YAML inside of YAML: a MeshConfig is a block of text in a ConfigMap, and its fields have places all the same.

use std::sync::Arc;

use super::spans::{Children, Position, SpanNode, Spans};
use super::{Document, Outcome, mesh_config_spans};
use crate::object::Body;

const CONFIG_MAP: &str = "istio";
const PATH: [&str; 2] = ["data", "mesh"];

/// Lets the fields of a MeshConfig in a document be located as `data.mesh.<field>`, where the document holds one.
pub(super) fn locate_mesh_config(document: &mut Document, text: &str) {
    let Outcome::Object(object) = &document.outcome else { return };
    let Body::ConfigMap(map) = &object.body else { return };
    let Some(inner) = map.data.get(PATH[1]).filter(|_| object.meta.name == CONFIG_MAP) else { return };
    let Some(spans) = mesh_config_spans(inner) else { return };
    let block = document.spans.locate(&PATH.join("."));
    let Some(place) = Place::of(block, inner, text) else { return };
    document.spans = document.spans.with_children(&PATH, place.children(&spans.root));
}

impl Spans {
    /// The spans of a text that stands for ConfigMap `istio`.
    #[must_use]
    pub fn of_mesh_config(inner: &Self) -> Self {
        let mut node = Arc::clone(&inner.root);
        for name in PATH.iter().rev() {
            let children = Children::Mapping(vec![((*name).into(), node)]);
            node = Arc::new(SpanNode { key: None, value: inner.start(), children });
        }
        Self { root: node }
    }

    fn with_children(&self, path: &[&str], children: Children) -> Self {
        Self { root: Arc::new(graft(&self.root, path, children)) }
    }
}

fn graft(node: &SpanNode, path: &[&str], grafted: Children) -> SpanNode {
    let Some((first, rest)) = path.split_first() else {
        return SpanNode { key: node.key, value: node.value, children: grafted };
    };
    let mut grafted = Some(grafted);
    let children = match &node.children {
        Children::Mapping(entries) => Children::Mapping(
            entries
                .iter()
                .map(|(name, child)| match grafted.take_if(|_| **name == **first) {
                    Some(children) => (name.clone(), Arc::new(graft(child, rest, children))),
                    None => (name.clone(), Arc::clone(child)),
                })
                .collect(),
        ),
        Children::Sequence(items) => Children::Sequence(items.clone()),
        Children::None => Children::None,
    };
    SpanNode { key: node.key, value: node.value, children }
}

/// Where a literal block begins, and how far it is indented.
struct Place<'a> {
    /// The lines of the block in the text, each with the byte where it begins.
    lines: Vec<(usize, &'a str)>,
    first_line: usize,
    indent: usize,
}

impl<'a> Place<'a> {
    /// Only literal blocks (`|`) keep lines as they are. `block` is where their first line with content begins.
    fn of(block: Position, inner: &str, text: &'a str) -> Option<Self> {
        let blank = inner.lines().take_while(|line| line.trim().is_empty()).count();
        let first = block.line.checked_sub(1 + blank)?;
        let mut offset = 0;
        let numbered = text.split_inclusive('\n').map(|line| {
            offset += line.len();
            (offset - line.len(), line)
        });
        let lines: Vec<(usize, &str)> = numbered.skip(first).take(inner.lines().count()).collect();
        let indent = block.column - 1;
        let outer = lines.iter().map(|(_, line)| line.get(indent..).unwrap_or_default().trim_end());
        let same = outer.eq(inner.lines().map(str::trim_end));
        same.then_some(Self { lines, first_line: first + 1, indent })
    }

    fn children(&self, node: &SpanNode) -> Children {
        match &node.children {
            Children::None => Children::None,
            Children::Sequence(items) => {
                Children::Sequence(items.iter().map(|item| Arc::new(self.node(item))).collect())
            }
            Children::Mapping(entries) => Children::Mapping(
                entries.iter().map(|(key, value)| (key.clone(), Arc::new(self.node(value)))).collect(),
            ),
        }
    }

    fn node(&self, node: &SpanNode) -> SpanNode {
        SpanNode {
            key: node.key.map(|key| self.position(key)),
            value: self.position(node.value),
            children: self.children(node),
        }
    }

    fn position(&self, inner: Position) -> Position {
        let (start, line) = self.lines.get(inner.line.saturating_sub(1)).copied().unwrap_or_default();
        let before = line.chars().take(self.indent + inner.column - 1).map(char::len_utf8).sum::<usize>();
        Position {
            line: self.first_line + inner.line - 1,
            column: self.indent + inner.column,
            offset: start + before,
            length: inner.length.min(line.len().saturating_sub(before)),
        }
    }
}
