//! Where the fields of a document stand in its text.

use std::sync::Arc;

/// A stretch of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// In bytes from the beginning of the text.
    pub offset: usize,
    /// In bytes; within the first line.
    pub length: usize,
}

/// The positions of a document's fields, in the document's shape.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    pub(super) root: Arc<SpanNode>,
}

#[derive(Debug, Default)]
pub(super) struct SpanNode {
    /// Of the key, for a value in a mapping.
    pub(super) key: Option<Position>,
    pub(super) value: Position,
    pub(super) children: Children,
}

#[derive(Debug, Default)]
pub(super) enum Children {
    #[default]
    None,
    Sequence(Vec<Arc<SpanNode>>),
    Mapping(Vec<(Box<str>, Arc<SpanNode>)>),
}

impl Spans {
    pub(super) fn new(root: SpanNode) -> Self {
        Self { root: Arc::new(root) }
    }

    /// Where the document begins.
    #[must_use]
    pub fn start(&self) -> Position {
        first_word(&self.root)
    }

    /// Where a field stands: its value if that is a scalar, else its key. A field that is not there stands where its
    /// nearest parent does. Paths are written `spec.http[0].match[1].uri.regex`; keys with dots of their own may be
    /// written plainly or in brackets: `metadata.labels[app.kubernetes.io/name]`.
    #[must_use]
    pub fn locate(&self, path: &str) -> Position {
        let (node, rest) = self.walk(path);
        match (&node.children, node.key) {
            (Children::None, _) if rest.is_empty() && node.value.length > 0 => node.value,
            (_, Some(key)) => key,
            (_, None) => first_word(node),
        }
    }

    /// Where the key of a field stands.
    #[must_use]
    pub fn locate_key(&self, path: &str) -> Position {
        let (node, _) = self.walk(path);
        node.key.unwrap_or_else(|| first_word(node))
    }

    /// An item of a list, as a document of its own.
    pub(super) fn subtree(&self, key: &str, index: usize) -> Self {
        let items = child(&self.root, key).map(|node| &node.children);
        match items {
            Some(Children::Sequence(items)) => {
                items.get(index).map_or_else(Self::default, |item| Self { root: Arc::clone(item) })
            }
            Some(Children::None | Children::Mapping(_)) | None => Self::default(),
        }
    }

    /// The deepest node on the way to `path`, and what of the path is left.
    fn walk<'a, 'p>(&'a self, path: &'p str) -> (&'a SpanNode, &'p str) {
        let mut node = &*self.root;
        let mut rest = path;
        while !rest.is_empty() {
            match step(node, rest) {
                Some((next, after)) => (node, rest) = (next, after),
                None => break,
            }
        }
        (node, rest)
    }
}

/// A block begins with its first key or item and has no sign of its own.
fn first_word(node: &SpanNode) -> Position {
    if node.value.length > 0 {
        return node.value;
    }
    match &node.children {
        Children::Mapping(entries) => entries.first().and_then(|(_, entry)| entry.key).unwrap_or(node.value),
        Children::Sequence(items) => items.first().map_or(node.value, |item| first_word(item)),
        Children::None => node.value,
    }
}

fn child<'a>(node: &'a SpanNode, key: &str) -> Option<&'a SpanNode> {
    match &node.children {
        Children::Mapping(entries) => entries.iter().find(|(name, _)| **name == *key).map(|(_, node)| &**node),
        Children::None | Children::Sequence(_) => None,
    }
}

fn step<'a, 'p>(node: &'a SpanNode, path: &'p str) -> Option<(&'a SpanNode, &'p str)> {
    if let Some(bracketed) = path.strip_prefix('[') {
        let (inside, after) = bracketed.split_once(']')?;
        return match &node.children {
            Children::Sequence(items) => Some((items.get(inside.parse::<usize>().ok()?)?, after)),
            Children::Mapping(_) => Some((child(node, inside.trim_matches(['"', '\'']))?, after)),
            Children::None => None,
        };
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    let Children::Mapping(entries) = &node.children else { return None };
    let fits = |key: &str| path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    // The longest, because keys may contain dots.
    let (key, next) = entries.iter().filter(|(key, _)| fits(key)).max_by_key(|(key, _)| key.len())?;
    Some((next, &path[key.len()..]))
}
