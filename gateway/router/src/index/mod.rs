//! Which rules could match a request: a tree that sorts rules by what they require.
//!
//! Every node only filters. Its leaves list rules in order, and the full matcher decides on each, so what a node lets
//! through in vain costs time and never an answer. A node knows its first rule, so that a search that has found a match
//! skips everything behind it. Nothing here knows what a condition means beyond what [`key`] reads off it.

mod build;
mod key;
mod trie;

use regex::bytes::RegexSet;

use crate::field::Field;
use crate::matcher::Matcher;
use crate::view::RequestView;
use key::Selector;
use trie::Trie;

/// No rule, or no node.
const NONE: u32 = u32::MAX;

/// Finds the first matching rule; rules are numbered in their order.
#[derive(Debug)]
pub(crate) struct Index {
    /// The root comes last.
    nodes: Vec<Node>,
    /// The rules of all leaves; ascending inside a leaf.
    ids: Vec<u32>,
}

#[derive(Debug)]
enum Node {
    /// A range of [`Index::ids`].
    Leaf {
        start: u32,
        end: u32,
    },
    Split(Box<Split>),
    Screens(Box<Screens>),
}

/// Sorts rules by the literal text that they require of one field.
#[derive(Debug)]
struct Split {
    selector: Selector,
    /// Leads to nodes.
    trie: Trie,
    /// The rules that require nothing of the field.
    rest: u32,
}

/// Tries many regular expressions on a field at once.
#[derive(Debug)]
struct Screens {
    field: Field,
    screens: Vec<Screen>,
    rest: u32,
}

#[derive(Debug)]
struct Screen {
    set: RegexSet,
    first: u32,
    node: u32,
}

impl Index {
    pub(crate) fn build(matchers: &[&Matcher]) -> Self {
        build::build(matchers)
    }

    /// The first rule of those that `matches` accepts.
    pub(crate) fn first<V: RequestView>(&self, request: &V, matches: &impl Fn(u32) -> bool) -> Option<usize> {
        let root = self.nodes.len().checked_sub(1)?;
        let best = self.search(root as u32, request, matches, NONE);
        (best != NONE).then_some(best as usize)
    }

    /// The first matching rule below `node` if it comes before `best`, else `best`.
    fn search<V: RequestView>(&self, node: u32, request: &V, matches: &impl Fn(u32) -> bool, mut best: u32) -> u32 {
        let mut next = node;
        while next != NONE {
            match &self.nodes[next as usize] {
                Node::Leaf { start, end } => {
                    let ids = &self.ids[*start as usize..*end as usize];
                    let earlier = ids.iter().copied().take_while(|id| *id < best);
                    return earlier.into_iter().find(|id| matches(*id)).unwrap_or(best);
                }
                Node::Split(split) => {
                    if split.trie.first() < best {
                        split.selector.field.any(request, &mut |value| {
                            best = split.trie.walk(split.selector.fold, value, best, &mut |node, best| {
                                self.search(node, request, matches, best)
                            });
                            false
                        });
                    }
                    next = split.rest;
                }
                Node::Screens(screens) => {
                    screens.field.any(request, &mut |value| {
                        for Screen { set, first, node } in &screens.screens {
                            if *first >= best {
                                break;
                            }
                            if set.is_match(value) {
                                best = self.search(*node, request, matches, best);
                            }
                        }
                        false
                    });
                    next = screens.rest;
                }
            }
        }
        best
    }
}
