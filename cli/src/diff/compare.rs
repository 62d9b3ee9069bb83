//! Two states of one gateway, resource by resource.

use std::collections::BTreeMap;

use ir::{Key, Kind as ResourceKind, Resource};
use serde::Serialize;

use super::words;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Kind {
    Added,
    Removed,
    Changed,
    /// The same lines in another order.
    Reordered,
}

/// What becomes of one resource. Scripts read this: fields are added, never renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    pub(super) kind: Kind,
    pub(super) what: String,
    pub(super) removed: Vec<String>,
    pub(super) added: Vec<String>,
}

/// People read from the socket inwards.
fn rank(kind: ResourceKind) -> u8 {
    match kind {
        ResourceKind::Settings => 0,
        ResourceKind::Listener => 1,
        ResourceKind::Secret => 2,
        ResourceKind::RouteTable => 3,
        ResourceKind::RouteGroup => 4,
        ResourceKind::Cluster => 5,
        ResourceKind::Endpoints => 6,
    }
}

pub(super) fn compare<'a>(
    before: impl Iterator<Item = &'a Resource>,
    after: impl Iterator<Item = &'a Resource>,
) -> Vec<Change> {
    type Pair<'a> = (Option<&'a Resource>, Option<&'a Resource>);
    let mut pairs: BTreeMap<(u8, Key), Pair<'a>> = BTreeMap::new();
    let place = |resource: &Resource| {
        let key = resource.key();
        (rank(key.kind), key)
    };
    for resource in before {
        pairs.entry(place(resource)).or_default().0 = Some(resource);
    }
    for resource in after {
        pairs.entry(place(resource)).or_default().1 = Some(resource);
    }
    pairs.into_iter().filter_map(|((_, key), (before, after))| change(&key, before, after)).collect()
}

fn change(key: &Key, before: Option<&Resource>, after: Option<&Resource>) -> Option<Change> {
    if before == after {
        return None;
    }
    let lines = |resource: Option<&Resource>| resource.map(words::lines).unwrap_or_default();
    let (old, new) = (lines(before), lines(after));
    let (removed, added) = (without(&old, &new), without(&new, &old));
    let kind = match (before, after) {
        (None, _) => Kind::Added,
        (_, None) => Kind::Removed,
        (Some(_), Some(_)) if removed.is_empty() && added.is_empty() && old != new => Kind::Reordered,
        (Some(_), Some(_)) => Kind::Changed,
    };
    Some(Change { kind, what: words::title(key), removed, added })
}

/// Lines of one list that the other does not have as often.
fn without(lines: &[String], others: &[String]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for other in others {
        *counts.entry(other).or_default() += 1;
    }
    let mut rest = Vec::new();
    for line in lines {
        match counts.get_mut(line.as_str()) {
            Some(count) if *count > 0 => *count -= 1,
            Some(_) | None => rest.push(line.clone()),
        }
    }
    rest
}
