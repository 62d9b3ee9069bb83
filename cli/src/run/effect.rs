//! What a change did to the gateway's tables, in words: compares what is delivered with what was delivered before.
//! Keeps hashes, not copies. Prints nothing itself.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use ir::{ClusterName, Resource, Route, RouteAction, RouteGroup};

/// More than this many details are counted instead of told.
const DETAILS: usize = 4;

/// What stood in the tables after the last delta.
#[derive(Default)]
pub(crate) struct Effects {
    groups: HashMap<Arc<str>, Vec<Digest>>,
    endpoints: HashMap<Arc<str>, usize>,
    secrets: HashSet<Arc<str>>,
}

/// A route, reduced to what tells it from others and what it does.
#[derive(Clone, PartialEq, Eq)]
struct Digest {
    /// Name and conditions.
    identity: u64,
    /// All but the weights.
    content: u64,
    name: String,
    weights: Vec<(ClusterName, u32)>,
}

/// Counted differences of routes.
#[derive(Default)]
struct Routes {
    added: usize,
    removed: usize,
    changed: usize,
    /// `canary: v1 90 → 50, v2 10 → 50`
    shifts: Vec<String>,
}

impl Effects {
    /// Takes a delivered delta in and says what it changed, most telling first.
    pub(crate) fn observe(&mut self, delta: &ir::Delta) -> Vec<String> {
        let mut routes = Routes::default();
        let mut told = Vec::new();
        let (mut clusters, mut settings) = (0, false);
        for encoded in &delta.changed {
            // What the gateway could not read it has already complained about.
            let Ok(resource) = ir::codec::decode(encoded) else { continue };
            let name = Arc::clone(&encoded.key.name);
            match resource {
                Resource::RouteGroup(group) => {
                    let new = digests(&group);
                    let old = self.groups.insert(name, new.clone()).unwrap_or_default();
                    routes.compare(&old, &new);
                }
                Resource::Endpoints(endpoints) => {
                    let new = endpoints.endpoints.len();
                    if let Some(old) = self.endpoints.insert(name, new) {
                        let cluster = label(&endpoints.cluster);
                        told.push(if old == new {
                            format!("endpoints of {cluster} changed")
                        } else {
                            format!("endpoints of {cluster} {old} → {new}")
                        });
                    }
                }
                Resource::Secret(_) => {
                    let known = !self.secrets.insert(Arc::clone(&name));
                    told.push(format!("certificate {name} {}", if known { "replaced" } else { "loaded" }));
                }
                Resource::Cluster(_) => clusters += 1,
                Resource::Settings(_) => settings = true,
                // Sockets are told by the gateway, which knows what became of them.
                Resource::RouteTable(_) | Resource::Listener(_) => {}
            }
        }
        for key in &delta.removed {
            match key.kind {
                ir::Kind::RouteGroup => {
                    let old = self.groups.remove(&key.name).unwrap_or_default();
                    routes.compare(&old, &[]);
                }
                ir::Kind::Endpoints => drop(self.endpoints.remove(&key.name)),
                ir::Kind::Secret => {
                    self.secrets.remove(&key.name);
                    told.push(format!("certificate {} removed", key.name));
                }
                ir::Kind::Settings | ir::Kind::Cluster | ir::Kind::RouteTable | ir::Kind::Listener => {}
            }
        }
        let mut effects = routes.told();
        if told.len() > DETAILS {
            let more = told.len() - DETAILS;
            told.truncate(DETAILS);
            told.push(format!("{more} more"));
        }
        effects.append(&mut told);
        if settings {
            effects.push("proxy settings".to_owned());
        }
        if effects.is_empty() && clusters > 0 {
            effects.push(count(clusters, "cluster", "changed"));
        }
        effects
    }
}

impl Routes {
    fn compare(&mut self, old: &[Digest], new: &[Digest]) {
        let mut before: HashMap<u64, Vec<&Digest>> = HashMap::new();
        for digest in old {
            before.entry(digest.identity).or_default().push(digest);
        }
        for digest in new {
            match before.get_mut(&digest.identity).and_then(Vec::pop) {
                None => self.added += 1,
                Some(old) if old == digest => {}
                Some(old) if old.content == digest.content => self.shifts.push(shift(old, digest)),
                Some(_) => self.changed += 1,
            }
        }
        self.removed += before.values().map(Vec::len).sum::<usize>();
    }

    fn told(self) -> Vec<String> {
        let Self { added, removed, mut changed, mut shifts } = self;
        if shifts.len() > DETAILS {
            changed += shifts.len();
            shifts.clear();
        }
        // The same rule may serve several gateways.
        shifts.dedup();
        for (number, what) in [(added, "added"), (removed, "removed"), (changed, "changed")] {
            if number > 0 {
                shifts.push(count(number, "route", what));
            }
        }
        shifts
    }
}

fn count(number: usize, noun: &str, what: &str) -> String {
    format!("{number} {noun}{} {what}", if number == 1 { "" } else { "s" })
}

/// `canary: v1 90 → 50, v2 10 → 50`; a destination that is not there has weight 0.
fn shift(old: &Digest, new: &Digest) -> String {
    let weight = |of: &Digest, cluster: &ClusterName| {
        of.weights.iter().filter(|(name, _)| name == cluster).map(|(_, weight)| weight).sum::<u32>()
    };
    let mut clusters: Vec<&ClusterName> = Vec::new();
    for (cluster, _) in old.weights.iter().chain(&new.weights) {
        if !clusters.contains(&cluster) {
            clusters.push(cluster);
        }
    }
    let host = |cluster: &ClusterName| cluster.parts().map(|(port, _, host)| (port, host.to_owned()));
    let same_host = clusters.windows(2).all(|pair| host(pair[0]) == host(pair[1]));
    let parts: Vec<String> = clusters
        .iter()
        .map(|cluster| {
            let name = match cluster.parts() {
                Some((_, subset, _)) if same_host && !subset.is_empty() => subset.to_owned(),
                _ => label(cluster),
            };
            format!("{name} {} → {}", weight(old, cluster), weight(new, cluster))
        })
        .collect();
    let prefix = if new.name.is_empty() { String::new() } else { format!("{}: ", new.name) };
    format!("{prefix}{}", parts.join(", "))
}

/// `shop.internal/v1`, `shop.internal`
fn label(cluster: &ClusterName) -> String {
    match cluster.parts() {
        Some((_, "", host)) => host.to_owned(),
        Some((_, subset, host)) => format!("{host}/{subset}"),
        None => cluster.to_string(),
    }
}

fn digests(group: &RouteGroup) -> Vec<Digest> {
    group.route_lists.iter().flatten().map(digest).collect()
}

fn digest(route: &Route) -> Digest {
    let mut weights = Vec::new();
    let mut action = route.action.clone();
    if let RouteAction::Forward(forward) = &mut action {
        for destination in &mut forward.destinations {
            weights.push((destination.cluster.clone(), destination.weight));
            destination.weight = 1;
        }
        // A destination of weight 0 is left out: when it comes back, only weights have changed, as far as all its
        // other settings are those of the ones that stayed.
        forward.destinations.dedup_by(|a, b| a.edits == b.edits && a.authority == b.authority);
        if let Some(first) = forward.destinations.first_mut() {
            first.cluster = ClusterName::from("");
        }
    }
    Digest {
        identity: hash(&(&route.name, &route.matches)),
        content: hash(&(&action, route.catch_all, route.plaintext)),
        name: route.name.clone(),
        weights,
    }
}

fn hash(value: &impl serde::Serialize) -> u64 {
    let mut hasher = DefaultHasher::new();
    // Plain data serialises; what would not counts as equal, which only shortens a line on the screen.
    serde_json::to_vec(value).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use ir::{Destination, Forward, HeaderEdits, PathMatch, Precedence, RouteMatch};

    use super::*;

    fn route(name: &str, prefix: &str, weights: &[(&str, u32)]) -> Route {
        let destinations = weights
            .iter()
            .map(|&(subset, weight)| Destination {
                cluster: ClusterName::outbound(80, subset, "shop.internal"),
                weight,
                edits: HeaderEdits::default(),
                authority: None,
                tell_original_host: false,
            })
            .collect();
        Route {
            name: name.to_owned(),
            matches: RouteMatch {
                path: Some(PathMatch::Prefix { value: prefix.to_owned(), ignore_case: false }),
                ..RouteMatch::default()
            },
            catch_all: false,
            plaintext: false,
            action: RouteAction::Forward(Forward {
                destinations,
                path_rewrite: None,
                authority: None,
                timeout: None,
                retry: None,
                fault: None,
                cors: None,
            }),
        }
    }

    fn delta(routes: Vec<Route>) -> ir::Delta {
        let precedence = Precedence { tier: 2, created: 0, name: "shop".to_owned(), namespace: "default".to_owned() };
        let name = "default/shop".to_owned();
        let group = RouteGroup { name, precedence, bindings: Vec::new(), route_lists: vec![routes] };
        ir::Delta { changed: vec![ir::codec::encode(&Resource::RouteGroup(group))], removed: Vec::new() }
    }

    #[test]
    fn changes_of_routes_in_words() {
        let mut effects = Effects::default();
        let start = vec![route("canary", "/", &[("v1", 90), ("v2", 10)]), route("", "/b", &[("v1", 1)])];
        assert_eq!(effects.observe(&delta(start)), ["2 routes added"]);

        let shifted = vec![route("canary", "/", &[("v1", 50), ("v2", 50)]), route("", "/b", &[("v1", 1)])];
        assert_eq!(effects.observe(&delta(shifted)), ["canary: v1 90 → 50, v2 10 → 50"]);

        let all = vec![route("canary", "/", &[("v2", 100)]), route("", "/b", &[("v1", 1)])];
        assert_eq!(effects.observe(&delta(all)), ["canary: v1 50 → 0, v2 50 → 100"]);

        let mut timed = route("canary", "/", &[("v2", 100)]);
        if let RouteAction::Forward(forward) = &mut timed.action {
            forward.timeout = Some(std::time::Duration::from_secs(1));
        }
        assert_eq!(effects.observe(&delta(vec![timed])), ["1 route removed", "1 route changed"]);

        let key = ir::Key { kind: ir::Kind::RouteGroup, name: Arc::from("default/shop") };
        assert_eq!(effects.observe(&ir::Delta { changed: Vec::new(), removed: vec![key] }), ["1 route removed"]);
    }
}
