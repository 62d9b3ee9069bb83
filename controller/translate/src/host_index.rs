//! Many host names at once: which of them cover a name, and which a name covers (docs/semantics.md §1.2), without looking at
//! each.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::hosts;
use crate::steps;

/// Host names with the position each was first given at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostIndex {
    names: HashMap<String, usize>,
    /// Lengths of the wildcards' tails.
    lengths: BTreeSet<usize>,
    /// Positions by the names' bytes from the end, so that names with one tail stand together.
    reversed: BTreeMap<Vec<u8>, usize>,
}

impl HostIndex {
    pub(crate) fn insert(&mut self, host: &str, position: usize) {
        steps::count();
        if self.names.contains_key(host) {
            return;
        }
        self.names.insert(host.to_owned(), position);
        self.lengths.extend(hosts::tail(host).map(str::len));
        self.reversed.insert(host.bytes().rev().collect(), position);
    }

    /// Where exactly this one was given.
    pub(crate) fn position(&self, host: &str) -> Option<usize> {
        self.names.get(host).copied()
    }

    /// Those that mean every name that `host` means, the most specific one first.
    pub(crate) fn covering<'a>(&'a self, host: &'a str) -> impl Iterator<Item = usize> + 'a {
        let own = hosts::tail(host).is_none().then(|| self.names.get(host)).flatten();
        // At least the star, or a character that it stands for, is in front of the tail.
        let shorter = self.lengths.range(..host.len()).rev();
        let wildcards = shorter.filter_map(move |length| {
            steps::count();
            let tail = host.get(host.len() - length..)?;
            self.names.get(&format!("*{tail}"))
        });
        own.into_iter().chain(wildcards).copied()
    }

    /// Those all of whose names `host` means, too.
    pub(crate) fn covered<'a>(&'a self, host: &'a str) -> impl Iterator<Item = usize> + 'a {
        let plain = if hosts::tail(host).is_none() { self.names.get(host) } else { None };
        let below = hosts::tail(host).map(|tail| {
            let start: Vec<u8> = tail.bytes().rev().collect();
            let end = start.clone();
            self.reversed.range(start..).take_while(move |(name, _)| name.starts_with(&end))
        });
        let below = below.into_iter().flatten().filter(|(name, _)| name.len() >= host.len());
        plain.into_iter().chain(below.map(|(_, position)| position)).copied().inspect(|_| steps::count())
    }

    /// One that has a name in common with `host`.
    pub(crate) fn overlapping(&self, host: &str) -> Option<usize> {
        self.covering(host).next().or_else(|| self.covered(host).next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_comparing_each_finds() {
        let all =
            ["a.test", "*.test", "*", "*.a.test", "x.a.test", "test", "*test", "b.c", ".test", "*é.test", "é.test"];
        let mut index = HostIndex::default();
        for (position, host) in all.iter().enumerate() {
            index.insert(host, position);
        }
        for host in all.iter().chain(&["y.a.test", "*.x.a.test", "*.nothing", "", "ö.é.test"]) {
            let sorted = |found: &mut dyn Iterator<Item = usize>| {
                let mut found: Vec<&str> = found.map(|position| all[position]).collect();
                found.sort_unstable();
                found
            };
            let compared = |fits: &dyn Fn(&str) -> bool| sorted(&mut (0..all.len()).filter(|at| fits(all[*at])));
            assert_eq!(sorted(&mut index.covering(host)), compared(&|own| hosts::subset_of(host, own)), "{host}");
            assert_eq!(sorted(&mut index.covered(host)), compared(&|own| hosts::subset_of(own, host)), "{host}");
        }
        let specific: Vec<&str> = index.covering("x.a.test").map(|position| all[position]).collect();
        assert_eq!(specific, ["x.a.test", "*.a.test", "*.test", "*test", "*"]);
    }
}
