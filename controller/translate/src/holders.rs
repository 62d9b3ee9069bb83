//! Who has a virtual host, in the order in which routes are tried, so that an object is told when a younger one of another
//! namespace comes before it. That is how Istio orders them; `tenancy: strict` does not (docs/semantics.md §1.9).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crds::ObjectKey;
use ir::{Host, Precedence, RouteGroup, ServerRank, TableName};

use crate::report::{Problem, Report};
use crate::steps;

/// Groups of one virtual host that are looked at.
const LOOKS: usize = 64;

type VirtualHost = (TableName, Host);
type Place = (ServerRank, Arc<Precedence>, usize);

/// An object that has routes at a virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) object: ObjectKey,
    /// Its own age, whatever its routes count as.
    pub(crate) created: i64,
}

impl Holder {
    /// Whether the other one, which comes later, had the host first.
    fn takes_from(&self, later: &Self) -> bool {
        self.created > later.created && self.object.namespace != later.object.namespace
    }
}

/// All virtual hosts of a proxy.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    hosts: HashMap<VirtualHost, BTreeMap<Place, Holder>>,
    /// Where each object is, by what its group is called.
    places: BTreeMap<String, (Holder, Vec<(VirtualHost, Place)>)>,
    by_object: HashMap<ObjectKey, BTreeSet<String>>,
}

impl Holders {
    /// Puts a group where it is now; tells which objects have lost or got back a place in front.
    pub(crate) fn set(&mut self, name: &str, now: Option<(Holder, &RouteGroup)>) -> BTreeSet<ObjectKey> {
        let mut touched = BTreeSet::new();
        if let Some((holder, places)) = self.places.remove(name) {
            for (host, place) in places {
                self.pairs(&host, &place, &holder, &mut touched);
                if let Some(members) = self.hosts.get_mut(&host) {
                    members.remove(&place);
                    if members.is_empty() {
                        self.hosts.remove(&host);
                    }
                }
            }
            if let Some(names) = self.by_object.get_mut(&holder.object) {
                names.remove(name);
                if names.is_empty() {
                    self.by_object.remove(&holder.object);
                }
            }
        }
        let Some((holder, group)) = now else { return touched };
        let precedence = Arc::new(group.precedence.clone());
        let mut places = Vec::new();
        for (index, binding) in group.bindings.iter().enumerate() {
            for host in &binding.hosts {
                let host = (binding.table.clone(), host.clone());
                let place = (binding.server.clone(), Arc::clone(&precedence), index);
                self.pairs(&host, &place, &holder, &mut touched);
                self.hosts.entry(host.clone()).or_default().insert(place.clone(), holder.clone());
                places.push((host, place));
            }
        }
        self.by_object.entry(holder.object.clone()).or_default().insert(name.to_owned());
        self.places.insert(name.to_owned(), (holder, places));
        touched
    }

    /// The losers of all pairs that this holder is one of.
    fn pairs(&self, host: &VirtualHost, place: &Place, holder: &Holder, touched: &mut BTreeSet<ObjectKey>) {
        for (other_place, other) in self.hosts.get(host).into_iter().flatten().take(LOOKS) {
            steps::count();
            let (first, later) = if other_place < place { (other, holder) } else { (holder, other) };
            if first.takes_from(later) {
                touched.insert(later.object.clone());
            }
        }
    }

    /// What an object has lost, once for each winner.
    pub(crate) fn reports_about(&self, object: &ObjectKey) -> Vec<Report> {
        let mut reports = Vec::new();
        let mut winners = BTreeSet::new();
        let names = self.by_object.get(object).into_iter().flatten();
        let places = names.filter_map(|name| self.places.get(name));
        for (holder, (host, place)) in places.flat_map(|(holder, places)| places.iter().map(move |it| (holder, it))) {
            for (_, first) in
                self.hosts.get(host).into_iter().flatten().take(LOOKS).take_while(|(other, _)| *other < place)
            {
                if first.takes_from(holder) && winners.insert(&first.object) {
                    let (_, host) = host;
                    let winner = first.object.to_string();
                    let problem = Problem::TakenOver { host: host.as_str().to_owned(), winner, how: "younger" };
                    reports.push(Report { object: object.clone(), field: "spec.hosts".to_owned(), problem });
                }
            }
        }
        reports
    }

    /// The same of all objects.
    pub(crate) fn reports(&self) -> impl Iterator<Item = Report> {
        self.by_object.keys().flat_map(|object| self.reports_about(object))
    }
}
