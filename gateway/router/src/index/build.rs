//! Builds an [`Index`]: at each crowded node, sorts by the field that leaves the fewest rules together. Deterministic.

use std::borrow::Cow;
use std::collections::HashMap;

use regex::bytes::{RegexSet, RegexSetBuilder};

use super::key::{Fold, Key, Selector};
use super::trie::{Target, Trie};
use super::{Index, NONE, Node, Screen, Screens, Split};
use crate::field::Field;
use crate::matcher::Matcher;
use crate::regex::FullRegex;
use crate::text::Text;

/// Rules that are tried one by one without more ado. A split must spare at least as many.
const CROWD: usize = 8;
/// Fields that are considered at a node, the most used ones.
const FIELDS: usize = 8;
/// Longest way from the root. Reached only by rules with very many different header names.
const DEPTH: usize = 64;
/// Regular expressions that are tried at once. More would save little and let the engine's state explode.
const SCREEN: usize = 64;
/// Memory for the compiled form of a screen, in bytes.
const SCREEN_LIMIT: usize = 16 << 20;

pub(super) fn build(matchers: &[&Matcher]) -> Index {
    let count = u32::try_from(matchers.len()).ok().filter(|count| *count < NONE).expect("fewer than 2^32 - 1 rules");
    let mut builder = Builder { matchers, index: Index { nodes: Vec::new(), ids: Vec::with_capacity(matchers.len()) } };
    builder.node((0..count).collect(), &mut Vec::new());
    builder.index
}

struct Builder<'a> {
    matchers: &'a [&'a Matcher],
    index: Index,
}

/// How a node's rules fall apart.
struct Partition<'a> {
    selector: Selector,
    /// In ascending order; with equal keys, in the order of rules.
    keyed: Vec<(Key<'a>, u32)>,
    /// Rules that a request is likely to be left with.
    left: usize,
}

impl<'a> Builder<'a> {
    /// Adds the tree of `ids`, which are ascending; `used` says what they have been sorted by already.
    fn node(&mut self, ids: Vec<u32>, used: &mut Vec<Selector>) -> u32 {
        if ids.len() <= CROWD || used.len() >= DEPTH {
            return self.leaf(&ids);
        }
        match self.best_partition(&ids, used) {
            Some(partition) => self.split(&ids, partition, used),
            None => self.screens(&ids, used),
        }
    }

    fn add(&mut self, node: Node) -> u32 {
        self.index.nodes.push(node);
        (self.index.nodes.len() - 1) as u32
    }

    fn leaf(&mut self, ids: &[u32]) -> u32 {
        let start = self.index.ids.len() as u32;
        self.index.ids.extend_from_slice(ids);
        self.add(Node::Leaf { start, end: start + ids.len() as u32 })
    }

    fn rest(&mut self, ids: Vec<u32>, used: &mut Vec<Selector>) -> u32 {
        if ids.is_empty() { NONE } else { self.node(ids, used) }
    }

    fn best_partition(&self, ids: &[u32], used: &[Selector]) -> Option<Partition<'a>> {
        let mut best: Option<Partition<'a>> = None;
        for (field, _) in self.frequent(ids, |_| true) {
            for fold in Fold::ALL {
                let selector = Selector { field: field.clone(), fold };
                if used.contains(&selector) {
                    continue;
                }
                let candidate = self.partition(ids, selector);
                let useful = candidate.left + CROWD <= ids.len();
                if useful && best.as_ref().is_none_or(|best| candidate.left < best.left) {
                    best = Some(candidate);
                }
            }
        }
        best
    }

    fn partition(&self, ids: &[u32], selector: Selector) -> Partition<'a> {
        let key = |id: &u32| Some((selector.key(self.matchers[*id as usize])?, *id));
        let mut keyed: Vec<(Key<'a>, u32)> = ids.iter().filter_map(key).collect();
        keyed.sort_unstable();
        let largest = keyed.chunk_by(|(a, _), (b, _)| a == b).map(<[_]>::len).max().unwrap_or(0);
        let left = ids.len() - keyed.len() + largest;
        Partition { selector, keyed, left }
    }

    /// The fields that most rules require a text of, the most used first, in a fixed order.
    fn frequent(&self, ids: &[u32], counts: impl Fn(&Text) -> bool) -> Vec<(&'a Field, usize)> {
        let mut uses: HashMap<&'a Field, usize> = HashMap::new();
        for id in ids {
            for (field, _) in self.matchers[*id as usize].required().filter(|(_, text)| counts(text)) {
                *uses.entry(field).or_default() += 1;
            }
        }
        let mut uses: Vec<_> = uses.into_iter().collect();
        uses.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        uses.truncate(FIELDS);
        uses
    }

    fn split(&mut self, ids: &[u32], partition: Partition<'a>, used: &mut Vec<Selector>) -> u32 {
        let Partition { selector, keyed, left: _ } = partition;
        let keyless = |id: &u32| selector.key(self.matchers[*id as usize]).is_none();
        let rest: Vec<u32> = ids.iter().copied().filter(keyless).collect();
        used.push(selector.clone());
        let mut targets = Vec::new();
        for group in keyed.chunk_by(|(a, _), (b, _)| a == b) {
            let ids: Vec<u32> = group.iter().map(|(_, id)| *id).collect();
            let first = ids[0];
            targets.push((group[0].0.clone(), Target { node: self.node(ids, used), first }));
        }
        let rest = self.rest(rest, used);
        used.pop();
        self.add(Node::Split(Box::new(Split { selector, trie: Trie::build(&targets), rest })))
    }

    /// Rules that nothing literal tells apart: where many have a regular expression on one field, tries those together.
    fn screens(&mut self, ids: &[u32], used: &mut Vec<Selector>) -> u32 {
        let Some((field, _)) =
            self.frequent(ids, |text| regex(text).is_some()).into_iter().find(|(_, uses)| *uses > 2 * CROWD)
        else {
            return self.leaf(ids);
        };
        let pattern = |id: u32| {
            let mut texts = self.matchers[id as usize].required().filter(|(of, _)| *of == field);
            texts.find_map(|(_, text)| regex(text))
        };
        let (screened, mut rest): (Vec<u32>, Vec<u32>) = ids.iter().copied().partition(|id| pattern(*id).is_some());
        let mut sets = Vec::new();
        for ids in screened.chunks(SCREEN) {
            match set(ids.iter().filter_map(|id| pattern(*id)).map(FullRegex::anchored)) {
                Some(set) => sets.push((set, ids)),
                None => rest.extend_from_slice(ids),
            }
        }
        if sets.is_empty() {
            return self.leaf(ids);
        }
        rest.sort_unstable();
        let screens = sets.into_iter().map(|(set, ids)| Screen { set, first: ids[0], node: self.leaf(ids) }).collect();
        let rest = self.rest(rest, used);
        self.add(Node::Screens(Box::new(Screens { field: field.clone(), screens, rest })))
    }
}

fn regex(text: &Text) -> Option<&FullRegex> {
    match text {
        Text::Regex(regex) => Some(regex),
        Text::Exact(_) | Text::Prefix(_) | Text::ExactFold(_) | Text::PrefixFold(_) => None,
    }
}

/// `None` if the patterns are too large together; then they are tried one by one.
fn set<'a>(patterns: impl Iterator<Item = Cow<'a, str>>) -> Option<RegexSet> {
    RegexSetBuilder::new(patterns).size_limit(SCREEN_LIMIT).build().ok()
}
