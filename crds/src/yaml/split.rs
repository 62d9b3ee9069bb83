//! Cuts a text at the lines that begin a document, before anything is parsed: a document that does not parse must not
//! take the ones after it along.

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk<'a> {
    pub(super) text: &'a str,
    /// Byte where it begins in the whole.
    pub(super) offset: usize,
    /// Lines before it.
    pub(super) lines: usize,
}

/// The pieces that have content. YAML allows `---` at the start of a line only between documents, in block and quoted
/// scalars too, so that no knowledge of the content is needed.
pub(super) fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let text_start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut start = Chunk { text: "", offset: text_start, lines: 0 };
    let mut offset = text_start;
    for (lines, line) in text[text_start..].split_inclusive('\n').enumerate() {
        if begins_document(line) {
            push(&mut chunks, Chunk { text: &text[start.offset..offset], ..start });
            start = Chunk { text: "", offset, lines };
        }
        offset += line.len();
    }
    push(&mut chunks, Chunk { text: &text[start.offset..], ..start });
    chunks
}

fn begins_document(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Directives (`%YAML 1.2`) before the first `---` make a piece of their own, and one that says nothing.
fn push<'a>(chunks: &mut Vec<Chunk<'a>>, chunk: Chunk<'a>) {
    let mut lines = chunk.text.lines().map(|line| line.strip_prefix("---").unwrap_or(line).trim());
    if lines.any(|line| !line.is_empty() && !line.starts_with(['#', '%'])) {
        chunks.push(chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_document_lines_only() {
        let text = "\u{feff}# head\n%YAML 1.2\n---\na: 1\n--- # note\n\n---\nb: |\n  --- no\n  x---\n---c: d\n---";
        let found: Vec<_> = chunks(text).into_iter().map(|chunk| (chunk.lines, chunk.text)).collect();
        assert_eq!(found, [(2, "---\na: 1\n"), (6, "---\nb: |\n  --- no\n  x---\n---c: d\n")]);
        for chunk in chunks(text) {
            assert!(text[chunk.offset..].starts_with(chunk.text));
            assert_eq!(text[..chunk.offset].matches('\n').count(), chunk.lines);
        }
    }
}
