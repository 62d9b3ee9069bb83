//! A radix tree over bytes that finds every key that a value equals or starts with, in one walk over the value. It holds
//! numbers and does not know what they stand for.
//!
//! No hashing: the cost of a walk is bounded by the length of the value, whoever chose it.

use std::collections::VecDeque;
use std::ops::Range;

use super::NONE;
use super::key::{Fold, Key};

#[derive(Debug)]
pub(super) struct Trie {
    /// The root comes first; siblings stand next to each other, in the order of their first bytes.
    nodes: Vec<TrieNode>,
    /// The first byte of each node's label, to choose among siblings without touching their nodes.
    firsts: Vec<u8>,
    labels: Vec<u8>,
}

#[derive(Debug)]
struct TrieNode {
    /// What has to follow on the way to this node: a range of [`Trie::labels`].
    label: Range<u32>,
    children: Range<u32>,
    /// Where a key that ends here and may go on leads.
    open: u32,
    /// Where a key that ends here and must not go on leads.
    exact: u32,
    /// The first rule in this node and below.
    first: u32,
}

/// Where a key leads, and the first rule there.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) node: u32,
    pub(super) first: u32,
}

impl Trie {
    /// From at least one key; all different, in ascending order.
    pub(super) fn build(keys: &[(Key<'_>, Target)]) -> Self {
        let mut trie = Self { nodes: Vec::new(), firsts: Vec::new(), labels: Vec::new() };
        let mut todo = VecDeque::new();
        trie.add(keys, 0);
        todo.push_back((0, keys, 0));
        while let Some((at, keys, depth)) = todo.pop_front() {
            let depth = trie.fill(at, keys, depth);
            let ended = keys.iter().take_while(|(key, _)| key.text.len() == depth).count();
            let start = trie.nodes.len();
            for siblings in keys[ended..].chunk_by(|(a, _), (b, _)| a.text[depth] == b.text[depth]) {
                todo.push_back((trie.nodes.len(), siblings, depth));
                trie.add(siblings, depth);
            }
            trie.nodes[at].children = start as u32..trie.nodes.len() as u32;
        }
        trie
    }

    /// The first rule of all.
    pub(super) fn first(&self) -> u32 {
        self.nodes[0].first
    }

    /// Follows `value` as `fold` reads it and lets `visit` improve on `best` with each key on the way that fits.
    pub(super) fn walk(&self, fold: Fold, value: &[u8], mut best: u32, visit: &mut impl FnMut(u32, u32) -> u32) -> u32 {
        let mut node = &self.nodes[0];
        let mut at = 0;
        while node.first < best {
            let label = &self.labels[node.label.start as usize..node.label.end as usize];
            if !follows(fold, value, at, label) {
                break;
            }
            at += label.len();
            if node.open != NONE {
                best = visit(node.open, best);
            }
            let Some(byte) = byte_at(fold, value, at) else {
                if node.exact != NONE {
                    best = visit(node.exact, best);
                }
                break;
            };
            let Some(child) = self.child(node, byte) else { break };
            node = child;
        }
        best
    }

    fn child(&self, node: &TrieNode, byte: u8) -> Option<&TrieNode> {
        let children = node.children.start as usize..node.children.end as usize;
        let firsts = &self.firsts[children.clone()];
        let at = match firsts.len() {
            0..=16 => firsts.iter().position(|first| *first == byte)?,
            _ => firsts.binary_search(&byte).ok()?,
        };
        Some(&self.nodes[children.start + at])
    }

    fn add(&mut self, keys: &[(Key<'_>, Target)], depth: usize) {
        self.firsts.push(keys[0].0.text.get(depth).copied().unwrap_or_default());
        let first = keys.iter().map(|(_, target)| target.first).min().unwrap_or(NONE);
        self.nodes.push(TrieNode { label: 0..0, children: 0..0, open: NONE, exact: NONE, first });
    }

    /// Gives a node its label, which is what its keys have in common, and what ends at it; returns how deep it is.
    fn fill(&mut self, at: usize, keys: &[(Key<'_>, Target)], depth: usize) -> usize {
        let (low, high) = (&keys[0].0.text[depth..], &keys[keys.len() - 1].0.text[depth..]);
        // The keys are sorted, so what the outermost ones share is shared by all.
        let shared = low.iter().zip(high).take_while(|(a, b)| a == b).count();
        let start = self.labels.len() as u32;
        self.labels.extend_from_slice(&low[..shared]);
        let node = &mut self.nodes[at];
        node.label = start..self.labels.len() as u32;
        for (key, target) in keys.iter().take_while(|(key, _)| key.text.len() == depth + shared) {
            match key.exact {
                true => node.exact = target.node,
                false => node.open = target.node,
            }
        }
        depth + shared
    }
}

fn byte_at(fold: Fold, value: &[u8], at: usize) -> Option<u8> {
    match fold {
        Fold::Plain => value.get(at).copied(),
        Fold::Lower => value.get(at).map(u8::to_ascii_lowercase),
        Fold::Reversed => value.len().checked_sub(at + 1).map(|at| value[at]),
    }
}

/// Whether `label` comes next.
fn follows(fold: Fold, value: &[u8], at: usize, label: &[u8]) -> bool {
    match fold {
        Fold::Plain => value[at..].starts_with(label),
        Fold::Lower => value[at..].get(..label.len()).is_some_and(|next| next.eq_ignore_ascii_case(label)),
        Fold::Reversed => {
            let left = &value[..value.len() - at];
            label.len() <= left.len() && left.iter().rev().zip(label).all(|(a, b)| a == b)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visited(keys: &[(&str, bool)], fold: Fold, value: &str) -> Vec<u32> {
        let mut keys: Vec<_> = keys
            .iter()
            .enumerate()
            .map(|(at, (text, exact))| {
                let key = Key { text: text.as_bytes().into(), exact: *exact };
                (key, Target { node: at as u32, first: at as u32 })
            })
            .collect();
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        let mut visited = Vec::new();
        Trie::build(&keys).walk(fold, value.as_bytes(), NONE, &mut |node, best| {
            visited.push(node);
            best
        });
        visited.sort_unstable();
        visited
    }

    #[test]
    fn visits_all_keys_on_the_way() {
        let keys =
            [("/", false), ("/a", false), ("/a", true), ("/ab", false), ("/b", true), ("/a/b/c", true), ("", true)];
        #[rustfmt::skip]
        let cases: [(&str, &[u32]); 9] = [
            ("/a",      &[0, 1, 2]),
            ("/ab",     &[0, 1, 3]),
            ("/abc",    &[0, 1, 3]),
            ("/b",      &[0, 4]),
            ("/bc",     &[0]),
            ("/a/b/c",  &[0, 1, 5]),
            ("/a/b/",   &[0, 1]),
            ("",        &[6]),
            ("x",       &[]),
        ];
        for (value, expected) in cases {
            assert_eq!(visited(&keys, Fold::Plain, value), expected, "{value}");
        }
    }

    #[test]
    fn reads_values_folded() {
        assert_eq!(visited(&[("/ab", false), ("/a", true)], Fold::Lower, "/AbC"), [0]);
        assert_eq!(visited(&[("lmth.", false), ("lmt", false), ("l", true)], Fold::Reversed, "/a.html"), [0, 1]);
    }

    #[test]
    fn finds_children_of_crowded_nodes() {
        let texts: Vec<String> = (0..100u8).map(|at| format!("/{}", char::from(at + 27))).collect();
        let keys: Vec<(&str, bool)> = texts.iter().map(|text| (text.as_str(), true)).collect();
        for (at, text) in texts.iter().enumerate() {
            assert_eq!(visited(&keys, Fold::Plain, text), [at as u32]);
        }
    }
}
