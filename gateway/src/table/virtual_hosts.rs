//! Puts the routes of many groups together into virtual hosts, and only those that changed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use router::{Hosts, Router};

use crate::table::groups::{Group, Rule};
use crate::table::{TableId, VirtualHost};

/// Where a group's routes stand among those of others; the order is that of precedence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    server: ir::ServerRank,
    precedence: Arc<ir::Precedence>,
    /// Position in the group's bindings.
    binding: usize,
}

#[derive(Clone, Debug)]
struct Member {
    rules: Arc<[Rule]>,
    https_redirect: bool,
}

#[derive(Debug, Default)]
struct TableState {
    /// Present from the first mention by listener, table or group.
    id: Option<TableId>,
    /// The resource exists.
    declared: bool,
    redirects: HashSet<ir::Host>,
    namespaces_apart: bool,
    members: HashMap<ir::Host, BTreeMap<Place, Member>>,
    hosts: Arc<Hosts<Arc<VirtualHost>>>,
    dirty: HashSet<ir::Host>,
}

/// All route tables.
#[derive(Debug, Default)]
pub(crate) struct VirtualHosts {
    tables: HashMap<ir::TableName, TableState>,
    names: Vec<ir::TableName>,
}

impl VirtualHosts {
    /// The index of a table, existing or not.
    pub(crate) fn id(&mut self, name: &ir::TableName) -> TableId {
        let table = self.tables.entry(name.clone()).or_default();
        *table.id.get_or_insert_with(|| {
            self.names.push(name.clone());
            TableId(u32::try_from(self.names.len() - 1).expect("fewer than 2^32 tables fit into memory"))
        })
    }

    pub(crate) fn set_table(&mut self, name: &ir::TableName, table: Option<&ir::RouteTable>) {
        self.id(name);
        let Some(state) = self.tables.get_mut(name) else { return };
        state.declared = table.is_some();
        let redirects: HashSet<_> = table.into_iter().flat_map(|table| table.https_redirect.iter().cloned()).collect();
        state.dirty.extend(state.redirects.symmetric_difference(&redirects).cloned());
        state.redirects = redirects;
        let apart = table.is_some_and(|table| table.namespaces_apart);
        if apart != std::mem::replace(&mut state.namespaces_apart, apart) {
            state.dirty.extend(state.members.keys().cloned());
        }
    }

    pub(crate) fn add(&mut self, group: &Group) {
        for (index, binding) in group.bindings.iter().enumerate() {
            let place =
                Place { server: binding.server.clone(), precedence: Arc::clone(&group.precedence), binding: index };
            let member = Member {
                rules: Arc::clone(&group.route_lists[binding.routes]),
                https_redirect: binding.https_redirect,
            };
            let state = self.tables.entry(binding.table.clone()).or_default();
            for host in &binding.hosts {
                state.members.entry(host.clone()).or_default().insert(place.clone(), member.clone());
                state.dirty.insert(host.clone());
            }
        }
    }

    pub(crate) fn remove(&mut self, group: &Group) {
        for (index, binding) in group.bindings.iter().enumerate() {
            let place =
                Place { server: binding.server.clone(), precedence: Arc::clone(&group.precedence), binding: index };
            let Some(state) = self.tables.get_mut(&binding.table) else { continue };
            for host in &binding.hosts {
                if let Some(members) = state.members.get_mut(host) {
                    members.remove(&place);
                    if members.is_empty() {
                        state.members.remove(host);
                    }
                }
                state.dirty.insert(host.clone());
            }
        }
    }

    /// Rebuilds what changed and returns all tables by index.
    pub(crate) fn build(&mut self) -> Vec<Option<Arc<Hosts<Arc<VirtualHost>>>>> {
        for state in self.tables.values_mut() {
            if state.dirty.is_empty() {
                continue;
            }
            let hosts = Arc::make_mut(&mut state.hosts);
            for host in state.dirty.drain() {
                let members = state.members.get(&host);
                if members.is_none() && !state.redirects.contains(&host) {
                    hosts.remove(&host);
                    continue;
                }
                let redirect = state.redirects.contains(&host);
                let apart = state.namespaces_apart;
                hosts.insert(host.clone(), Arc::new(virtual_host(host, members, redirect, apart)));
            }
        }
        self.names
            .iter()
            .map(|name| {
                let state = self.tables.get(name)?;
                state.declared.then(|| Arc::clone(&state.hosts))
            })
            .collect()
    }
}

/// Routes in order of precedence, catch-all ones behind all others (docs/semantics.md §2.5, §3.17).
fn virtual_host(
    host: ir::Host,
    members: Option<&BTreeMap<Place, Member>>,
    redirect: bool,
    namespaces_apart: bool,
) -> VirtualHost {
    let mut parts: Vec<Vec<&Member>> = Vec::new();
    if namespaces_apart {
        parts.extend(by_namespace(members.into_iter().flatten()));
    } else {
        parts.push(members.into_iter().flat_map(BTreeMap::values).collect());
    }
    let ordered = parts.iter().flat_map(|part| {
        let rules = || part.iter().flat_map(|member| member.rules.iter());
        rules().filter(|rule| !rule.catch_all).chain(rules().filter(|rule| rule.catch_all))
    });
    let router = Router::new(ordered.map(|rule| (Arc::clone(&rule.matcher), Arc::clone(&rule.route))));
    let marked = members.into_iter().flat_map(BTreeMap::values).any(|member| member.https_redirect);
    VirtualHost { host, https_redirect: redirect || marked, router }
}

/// The members of each namespace, the one with the oldest group first (docs/semantics.md §1.9). Those at the end of time
/// come last.
fn by_namespace<'a>(members: impl Iterator<Item = (&'a Place, &'a Member)>) -> Vec<Vec<&'a Member>> {
    let mut parts: HashMap<(bool, &str), (_, Vec<&Member>)> = HashMap::new();
    for (place, member) in members {
        let ir::Precedence { tier: _, created, name, namespace } = &*place.precedence;
        let last = place.server.created == i64::MAX;
        let age = (last, *created, name, namespace);
        let (oldest, part) = parts.entry((last, namespace)).or_insert_with(|| (age, Vec::new()));
        *oldest = age.min(*oldest);
        part.push(member);
    }
    let mut parts: Vec<_> = parts.into_values().collect();
    parts.sort_by_key(|(oldest, _)| *oldest);
    parts.into_iter().map(|(_, part)| part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Namespaces of the members in the order in which their routes are tried.
    fn order(members: &[(i64, i64, u8, &'static str)]) -> Vec<Vec<String>> {
        let member = Member { rules: Arc::from(Vec::new()), https_redirect: false };
        let members: BTreeMap<Place, Member> = members
            .iter()
            .enumerate()
            .map(|(binding, (server, created, tier, namespace))| {
                let server =
                    ir::ServerRank { created: *server, name: String::new(), namespace: String::new(), index: 0 };
                let precedence = ir::Precedence {
                    tier: *tier,
                    created: *created,
                    name: format!("{binding}"),
                    namespace: (*namespace).to_owned(),
                };
                (Place { server, precedence: Arc::new(precedence), binding }, member.clone())
            })
            .collect();
        let names: HashMap<*const Member, String> =
            members.iter().map(|(place, member)| (std::ptr::from_ref(member), place.precedence.name.clone())).collect();
        let parts = by_namespace(members.iter());
        parts.iter().map(|part| part.iter().map(|it| names[&std::ptr::from_ref(*it)].clone()).collect()).collect()
    }

    #[test]
    fn the_namespace_with_the_oldest_group_comes_first_whatever_tier_and_server_say() {
        assert_eq!(order(&[(1, 30, 0, "evil"), (2, 10, 2, "prod"), (2, 40, 1, "prod")]), [vec!["2", "1"], vec!["0"]]);
        // What stands behind everything stays there.
        assert_eq!(order(&[(i64::MAX, 1, 2, "prod"), (1, 20, 2, "evil")]), [["1"], ["0"]]);
    }
}
