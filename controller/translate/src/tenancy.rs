//! Whose a host is where several namespaces share a proxy (docs/semantics.md §1.9). With `tenancy: strict`, an entry
//! `namespace/host` of a Gateway's server claims the host for that namespace; with `istio` nothing is claimed.

use std::collections::{BTreeMap, BTreeSet};

use crds::mesh_config::Tenancy;
use crds::{Gateway, MeshConfig, ObjectKind};

use crate::ProxyScope;
use crate::gateway::ServerHost;
use crate::host_index::HostIndex;
use crate::hosts;
use crate::mesh::{self, Mesh};
use crate::report::{Problem, Report};
use crate::world::Typed;

/// Whether a proxy stands in a namespace of administrators, so that it serves Gateways and Ingresses of all namespaces:
/// labels alone, which any tenant can give a pod of its own, do not make a gateway that is told what others' routes hold.
pub(crate) fn is_shared(config: &MeshConfig, proxy: &ProxyScope) -> bool {
    let namespace = proxy.namespace.as_str();
    config.tenancy != Tenancy::Strict
        || namespace == proxy.control_namespace
        || config.root_namespace.as_deref() == Some(namespace)
        || config.gateway_namespaces.iter().any(|listed| listed == namespace)
}

/// Tells the administrator of the mesh about a proxy that has none but its own namespace's Gateways. The report stands at
/// the settings: owners of other namespaces' Gateways can do nothing about it, nor about pods of strangers.
pub(crate) fn report_unlisted(mesh: &Mesh, proxy: &ProxyScope, reports: &mut Vec<Report>) {
    if !is_shared(&mesh.config, proxy) {
        let problem = Problem::NamespaceNotListed { namespace: proxy.namespace.clone(), workload: proxy.name.clone() };
        reports.push(Report { object: mesh::object_key(proxy), field: mesh::FIELD.to_owned(), problem });
    }
}

/// All claims of the Gateways of a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    claims: Vec<Claim>,
    index: HostIndex,
    strict: bool,
    /// Namespaces of administrators: the proxy's and the root namespace.
    trusted: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    host: String,
    /// Nothing where the host is open to all.
    namespaces: Option<BTreeSet<String>>,
    created: i64,
    /// The Gateway's.
    namespace: String,
    name: String,
}

impl Claim {
    fn admits(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|namespaces| namespaces.contains(namespace))
    }

    fn problem(&self, host: &str) -> Problem {
        let owner = self.namespaces.iter().flatten().cloned().collect::<Vec<_>>().join(", ");
        let by = format!("Gateway {}/{}", self.namespace, self.name);
        Problem::HostOfOthers { host: host.to_owned(), owner, by }
    }
}

impl Claims {
    pub(crate) fn new(mesh: &Mesh, proxy: &ProxyScope) -> Self {
        let trusted = if mesh.strict {
            [&mesh.root_namespace, &proxy.namespace].into_iter().cloned().collect()
        } else {
            BTreeSet::new()
        };
        Self { strict: mesh.strict, trusted, ..Self::default() }
    }

    /// Takes the claims of one more Gateway, which is younger than those before. A claim on what an older Gateway of
    /// another namespace has given to a third one does not count.
    pub(crate) fn add(
        &mut self,
        gateway: Typed<'_, Gateway>,
        servers: &[(usize, &[ServerHost])],
        reports: &mut Vec<Report>,
    ) {
        if !self.strict {
            return;
        }
        let mut written: BTreeMap<String, (usize, Option<BTreeSet<String>>)> = BTreeMap::new();
        for (server, hosts) in servers {
            for ServerHost { namespace, host } in *hosts {
                let entry = written.entry(host.to_ascii_lowercase());
                let (_, known) = entry.or_insert_with(|| (*server, Some(BTreeSet::new())));
                match namespace {
                    Some(namespace) => known.iter_mut().for_each(|known| {
                        known.insert(namespace.clone());
                    }),
                    None => *known = None,
                }
            }
        }
        let meta = gateway.meta;
        for (host, (server, namespaces)) in written {
            if let Some(older) = self.decisive(&host).filter(|older| older.namespace != meta.namespace) {
                let within = match (&older.namespaces, &namespaces) {
                    (None, _) => true,
                    (Some(older), Some(own)) => own.is_subset(older),
                    (Some(_), None) => false,
                };
                // One that stays open by itself claims nothing, and is told nothing.
                if !within {
                    if namespaces.is_some() {
                        let field = format!("spec.servers[{server}].hosts");
                        let object = gateway.key(ObjectKind::Gateway);
                        reports.push(Report { object, field, problem: older.problem(&host) });
                    }
                    continue;
                }
                if older.host == host {
                    continue;
                }
            }
            let position = self.index.position(&host);
            match position.and_then(|position| self.claims.get_mut(position)) {
                Some(known) => match (&mut known.namespaces, namespaces) {
                    (Some(known), Some(own)) => known.extend(own),
                    (known, _) => *known = None,
                },
                None => {
                    self.index.insert(&host, self.claims.len());
                    let (namespace, name) = (meta.namespace.clone(), meta.name.clone());
                    let created = meta.created.unwrap_or(0);
                    self.claims.push(Claim { host, namespaces, created, namespace, name });
                }
            }
        }
    }

    fn decisive(&self, host: &str) -> Option<&Claim> {
        self.claims.get(self.index.covering(host).next()?)
    }

    /// Why an object of that namespace and age does not get a host; nothing if it does. What was there before the claim
    /// keeps what it has.
    pub(crate) fn refuse(&self, host: &str, namespace: &str, created: Option<i64>) -> Option<Problem> {
        if !self.strict {
            return None;
        }
        let host = host.to_ascii_lowercase();
        if let Some(claim) = self.decisive(&host).filter(|claim| claim.namespaces.is_some()) {
            let keeps = claim.admits(namespace) || created.unwrap_or(0) < claim.created;
            return (!keeps).then(|| claim.problem(&host));
        }
        let owner = hosts::cluster_namespace(&host)?;
        let own = owner == namespace || self.trusted.contains(namespace);
        (!own).then(|| Problem::HostOfOthers {
            host: host.clone(),
            owner: owner.to_owned(),
            by: "the domain of the cluster's services".to_owned(),
        })
    }

    /// Whether a host is claimed for a namespace.
    pub(crate) fn is_claimed(&self, host: &str) -> bool {
        self.decisive(host).is_some_and(|claim| claim.namespaces.is_some())
    }
}
