//! One piece of YAML as a tree of values with positions: anchors resolved, merge keys applied, nothing interpreted.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::ReadError;
use super::scalar;
use super::spans::{Children, Position, SpanNode, Spans};
use super::split::Chunk;

/// How deep values may be nested.
const MAX_DEPTH: usize = 64;
/// How many values a document may have, counting what aliases repeat: a few lines of aliases of aliases can otherwise
/// stand for billions.
const MAX_NODES: usize = 200_000;

/// A document with the mistakes that did not stop reading.
pub(super) struct Tree {
    pub(super) root: Node,
    pub(super) mistakes: Vec<ReadError>,
}

/// A value with its position.
#[derive(Clone)]
pub(super) struct Node {
    position: Position,
    kind: NodeKind,
    /// How many values it consists of.
    size: usize,
}

#[derive(Clone)]
enum NodeKind {
    Scalar(Value),
    Sequence(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
}

#[derive(Clone)]
struct Key {
    text: String,
    position: Position,
    merge: bool,
}

/// Reads the documents of a piece (`...` may separate several) until its end or the first error in its syntax.
pub(super) fn read(chunk: Chunk<'_>) -> (Vec<Tree>, Option<ReadError>) {
    let mut options = Options::default();
    options.emit_unresolved_aliases = true;
    // Off in this crate, but another crate of the same binary may switch the parser's feature on.
    options.emit_comments = false;
    options.flow_nesting_limit = MAX_DEPTH + 1;
    options.block_nesting_limit = MAX_DEPTH + 1;
    options.block_scalar_eof_without_line_feed = true;
    let parser = Parser::new_from_str_with_options(chunk.text, options);
    let mut reader =
        Reader { chunk, parser, anchors: HashMap::new(), mistakes: Vec::new(), path: Vec::new(), nodes: 0 };
    let mut trees = Vec::new();
    loop {
        match reader.document() {
            Ok(Some(root)) => trees.push(Tree { root, mistakes: std::mem::take(&mut reader.mistakes) }),
            Ok(None) => return (trees, None),
            Err(error) => return (trees, Some(*error)),
        }
    }
}

struct Reader<'a> {
    chunk: Chunk<'a>,
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    mistakes: Vec<ReadError>,
    /// Where the reader is, for mistakes.
    path: Vec<String>,
    nodes: usize,
}

/// Boxed: errors are rare and larger than what they stand in for.
type Result<T> = std::result::Result<T, Box<ReadError>>;

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Option<Node>> {
        loop {
            let Some((event, span)) = self.next()? else { return Ok(None) };
            match event {
                Event::StreamEnd => return Ok(None),
                Event::DocumentStart(..) => {
                    self.anchors.clear();
                    self.nodes = 0;
                }
                Event::DocumentEnd | Event::StreamStart => {}
                event => return self.node(event, span, 0).map(Some),
            }
        }
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>> {
        self.parser.next_event().transpose().map_err(|error| Box::new(self.scan_error(&error)))
    }

    fn required(&mut self) -> Result<(Event<'a>, Span)> {
        match self.next()? {
            Some(next) => Ok(next),
            None => Err(Box::new(self.error(self.end(), "the document ends in the middle of a value".to_owned()))),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node> {
        let position = self.position(span);
        if depth > MAX_DEPTH {
            return Err(Box::new(self.error(position, format!("values are nested more than {MAX_DEPTH} deep"))));
        }
        self.count(1, position)?;
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, tag) => (anchor, self.scalar(&text, style, tag.as_deref(), position)),
            Event::SequenceStart(_, anchor, _) => (anchor, self.sequence(position, depth)?),
            Event::MappingStart(_, anchor, _) => (anchor, self.mapping(position, depth)?),
            Event::Alias(id) => (0, self.alias(id, position)?),
            Event::UnresolvedAlias(name) => {
                let message = format!("YAML takes *{name} for a reference to an anchor: quote it, as \"*{name}\"");
                self.mistake(position, message);
                // What was most likely meant, so that no second mistake follows from the first.
                (0, leaf(position, Value::String(format!("*{name}"))))
            }
            _ => return Err(Box::new(self.error(position, "a value was expected here".to_owned()))),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, position: Position) -> Node {
        let core_tag = tag.and_then(Tag::core_suffix);
        let value = match core_tag {
            Some(tag) => scalar::tagged(tag, text).unwrap_or_else(|| {
                self.mistake(position, format!("{text:?} is not of the type !!{tag}"));
                Value::Null
            }),
            None if style == ScalarStyle::Plain => scalar::plain(text),
            None => Value::String(text.to_owned()),
        };
        leaf(position, value)
    }

    fn sequence(&mut self, position: Position, depth: usize) -> Result<Node> {
        let mut items = Vec::new();
        let mut size = 1;
        loop {
            let (event, span) = self.required()?;
            if event == Event::SequenceEnd {
                return Ok(Node { position, kind: NodeKind::Sequence(items), size });
            }
            self.path.push(format!("[{}]", items.len()));
            let item = self.node(event, span, depth + 1)?;
            self.path.pop();
            size += item.size;
            items.push(item);
        }
    }

    fn mapping(&mut self, position: Position, depth: usize) -> Result<Node> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut size = 1;
        loop {
            let (event, span) = self.required()?;
            if event == Event::MappingEnd {
                let kind = NodeKind::Mapping(self.merged(entries));
                return Ok(Node { position, kind, size });
            }
            let key = self.key(event, span, depth)?;
            self.path.push(format!(".{}", key.text));
            let (event, span) = self.required()?;
            let value = self.node(event, span, depth + 1)?;
            if let Some(line) = seen.get(&key.text) {
                self.mistake(key.position, format!("the key is already given in line {line}"));
            } else {
                seen.insert(key.text.clone(), key.position.line);
                size += value.size;
                entries.push((key, value));
            }
            self.path.pop();
        }
    }

    fn key(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Key> {
        let position = self.position(span);
        match event {
            Event::Scalar(text, style, ..) => {
                let merge = text == "<<" && style == ScalarStyle::Plain;
                Ok(Key { text: text.into_owned(), position, merge })
            }
            event => {
                let node = self.node(event, span, depth + 1)?;
                match node.kind {
                    NodeKind::Scalar(Value::String(text)) => Ok(Key { text, position, merge: false }),
                    NodeKind::Scalar(_) | NodeKind::Sequence(_) | NodeKind::Mapping(_) => {
                        self.mistake(position, "a key must be a word".to_owned());
                        Ok(Key { text: String::new(), position, merge: false })
                    }
                }
            }
        }
    }

    fn alias(&mut self, id: usize, position: Position) -> Result<Node> {
        let Some(target) = self.anchors.get(&id) else {
            self.mistake(position, "the reference is inside of what it refers to".to_owned());
            return Ok(leaf(position, Value::Null));
        };
        let node = Node { position, ..target.clone() };
        self.count(node.size, position)?;
        Ok(node)
    }

    /// Puts what `<<` names behind the mapping's own keys, which win.
    fn merged(&mut self, entries: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
        if !entries.iter().any(|(key, _)| key.merge) {
            return entries;
        }
        let (merges, mut entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| key.merge);
        for (key, node) in merges {
            let sources = match node.kind {
                NodeKind::Sequence(items) => items,
                kind @ (NodeKind::Scalar(_) | NodeKind::Mapping(_)) => vec![Node { kind, ..node }],
            };
            for source in sources {
                let NodeKind::Mapping(more) = source.kind else {
                    self.mistake(key.position, "only mappings can be merged".to_owned());
                    continue;
                };
                for (key, value) in more {
                    if !entries.iter().any(|(known, _)| known.text == key.text) {
                        entries.push((key, value));
                    }
                }
            }
        }
        entries
    }

    fn count(&mut self, nodes: usize, position: Position) -> Result<()> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(Box::new(self.error(position, format!("the document has more than {MAX_NODES} values"))));
        }
        Ok(())
    }

    fn mistake(&mut self, position: Position, message: String) {
        let path = self.path.concat();
        let path = path.strip_prefix('.').unwrap_or(&path).to_owned();
        self.mistakes.push(ReadError { path, message, position, syntax: true });
    }

    fn error(&self, position: Position, message: String) -> ReadError {
        let path = self.path.concat();
        ReadError { path: path.strip_prefix('.').unwrap_or(&path).to_owned(), message, position, syntax: true }
    }

    fn scan_error(&self, error: &ScanError) -> ReadError {
        let mark = error.marker();
        let offset = mark.byte_offset().unwrap_or(0).min(self.chunk.text.len());
        let rest = self.chunk.text.get(offset..).unwrap_or("");
        let mut message = error.kind().to_string();
        // The word the reader stumbled over begins at the mark or one character before it.
        let before = self.chunk.text.get(..offset).and_then(|text| text.chars().next_back());
        let reserved = |letter: char| matches!(letter, '*' | '@' | '`' | '%' | '&' | '!');
        if let Some(letter) = rest.chars().next().filter(|c| reserved(*c)).or(before.filter(|c| reserved(*c))) {
            message.push_str(&format!("; a text that begins with {letter} must be quoted: quote it"));
        }
        let position = Position {
            line: self.chunk.lines + mark.line(),
            column: mark.col() + 1,
            offset: self.chunk.offset + offset,
            length: rest.chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8),
        };
        ReadError { path: String::new(), message, position, syntax: true }
    }

    fn position(&self, span: Span) -> Position {
        let start = span.start.byte_offset().unwrap_or(0).min(self.chunk.text.len());
        let end = span.end.byte_offset().unwrap_or(start).clamp(start, self.chunk.text.len());
        let covered = self.chunk.text.get(start..end).unwrap_or("");
        let first_line = covered.lines().next().unwrap_or("").trim_end();
        Position {
            line: self.chunk.lines + span.start.line(),
            column: span.start.col() + 1,
            offset: self.chunk.offset + start,
            length: first_line.len(),
        }
    }

    fn end(&self) -> Position {
        let lines = self.chunk.text.lines().count();
        Position {
            line: self.chunk.lines + lines,
            column: 1,
            offset: self.chunk.offset + self.chunk.text.len(),
            length: 0,
        }
    }
}

fn leaf(position: Position, value: Value) -> Node {
    Node { position, kind: NodeKind::Scalar(value), size: 1 }
}

impl Node {
    /// The value, and apart from it where its parts stand.
    pub(super) fn into_parts(self) -> (Value, Spans) {
        let (value, root) = self.split(None);
        (value, Spans::new(root))
    }

    fn split(self, key: Option<Position>) -> (Value, SpanNode) {
        let (value, children) = match self.kind {
            NodeKind::Scalar(value) => (value, Children::None),
            NodeKind::Sequence(items) => {
                let (values, spans): (Vec<_>, Vec<_>) = items
                    .into_iter()
                    .map(|item| {
                        let (value, span) = item.split(None);
                        (value, Arc::new(span))
                    })
                    .unzip();
                (Value::Array(values), Children::Sequence(spans))
            }
            NodeKind::Mapping(entries) => {
                let mut fields = Map::new();
                let mut spans = Vec::with_capacity(entries.len());
                for (key, node) in entries {
                    let (value, span) = node.split(Some(key.position));
                    spans.push((key.text.clone().into_boxed_str(), Arc::new(span)));
                    fields.insert(key.text, value);
                }
                (Value::Object(fields), Children::Mapping(spans))
            }
        };
        (value, SpanNode { key, value: self.position, children })
    }
}
