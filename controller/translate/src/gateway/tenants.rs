//! What strict tenancy makes of servers (docs/semantics.md §1.9): no TLS server answers to a name that is another
//! namespace's, or takes one from a server that has a certificate while it has none.

use std::collections::{BTreeSet, HashMap, HashSet};

use crds::ServerTlsMode;
use ir::{Binding, CertificateSource, Host, Precedence, RouteGroup, ServerRank, TableName};

use super::listener::http_table;
use super::merge::{Ports, SocketName};
use super::{Candidate, ServerProtocol, tls};
use crate::budget::Budget;
use crate::report::Report;
use crate::secret;
use crate::tenancy::Claims;
use crate::unit::Context;

/// The servers without the names of others; those that are contested and have no certificate come last.
pub(super) fn apart<'a>(
    context: &Context<'_, '_>,
    claims: &Claims,
    candidates: Vec<Candidate<'a>>,
    reports: &mut Vec<Report>,
) -> Vec<Candidate<'a>> {
    let mut kept: Vec<Candidate<'a>> = Vec::with_capacity(candidates.len());
    for mut candidate in candidates {
        if candidate.protocol == ServerProtocol::Tls {
            let mut refused = Vec::new();
            let owner = candidate.owner().to_owned();
            let created = candidate.gateway.meta.created;
            candidate.hosts.retain(|entry| {
                let meant = entry.namespace.as_deref().unwrap_or(&owner);
                let problem = claims
                    .refuse(&entry.host, meant, created)
                    .filter(|_| claims.refuse(&entry.host, &owner, created).is_some());
                let keeps = problem.is_none();
                refused.extend(problem);
                keeps
            });
            let (object, field) = (candidate.object(), candidate.path());
            let report = |problem| Report { object: object.clone(), field: field.clone(), problem };
            reports.extend(refused.into_iter().map(report));
            if candidate.hosts.is_empty() {
                continue;
            }
        }
        kept.push(candidate);
    }
    let mut wanted: HashMap<(SocketName, String), usize> = HashMap::new();
    let is_tls = |candidate: &&Candidate<'_>| candidate.protocol == ServerProtocol::Tls;
    for candidate in kept.iter().filter(is_tls) {
        for name in tls::server_names(candidate) {
            *wanted.entry((SocketName::of(candidate), name)).or_default() += 1;
        }
    }
    let mut usable = Usable { context, secrets: HashMap::new() };
    let (mut first, mut last) = (Vec::with_capacity(kept.len()), Vec::new());
    for mut candidate in kept {
        let socket = SocketName::of(&candidate);
        let mut names = if is_tls(&&candidate) { tls::server_names(&candidate) } else { Vec::new() }.into_iter();
        candidate.contested = names.any(|name| wanted.get(&(socket.clone(), name)).is_some_and(|count| *count > 1));
        if candidate.contested && !usable.has_certificate(&candidate) {
            last.push(candidate);
        } else {
            first.push(candidate);
        }
    }
    first.extend(last);
    first
}

struct Usable<'c, 'v, 'w> {
    context: &'c Context<'v, 'w>,
    secrets: HashMap<ir::SecretName, bool>,
}

impl Usable<'_, '_, '_> {
    /// Whether handshakes of a server can succeed. Of files nothing is known here; they count as good.
    fn has_certificate(&mut self, candidate: &Candidate<'_>) -> bool {
        let Some(settings) = candidate.server.tls.as_ref().filter(|tls| tls.mode == ServerTlsMode::Simple) else {
            return false;
        };
        let mut uses = std::collections::BTreeMap::new();
        let sources = tls::translate(candidate, settings, &mut uses).certificates;
        sources.into_iter().any(|source| match source {
            CertificateSource::Files { .. } => true,
            CertificateSource::Secret(name) => self.is_good(name),
        })
    }

    fn is_good(&mut self, name: ir::SecretName) -> bool {
        let view = &self.context.view;
        // Asked in any case, so that this is decided again when the Secret changes.
        let data = view.secret(&self.context.proxy.namespace, secret::object_name(name.as_str()));
        *self
            .secrets
            .entry(name.clone())
            .or_insert_with(|| view.holds(&name) || data.is_some_and(|data| secret::translate(&name, data).is_ok()))
    }
}

/// Virtual hosts without routes for claimed hosts, at the plaintext ports of the servers that claim them: where their
/// namespace serves nothing, a wildcard of another one must not.
pub(super) fn closed(context: &Context<'_, '_>, claims: &Claims, ports: &Ports<'_>) -> Option<RouteGroup> {
    if !context.mesh.strict {
        return None;
    }
    let mut budget = Budget::new(context.view.limits().hosts_per_virtual_service);
    let mut bindings = Vec::new();
    for (name, socket) in &ports.sockets {
        let http = socket.plaintext.iter().filter(|candidate| candidate.protocol == ServerProtocol::Http);
        let entries = http.flat_map(|candidate| &candidate.hosts).filter(|entry| entry.namespace.is_some());
        let mut seen = HashSet::new();
        let hosts = entries
            .map(|entry| entry.host.to_ascii_lowercase())
            .filter(|host| host != "*" && claims.is_claimed(host) && seen.insert(host.clone()));
        let hosts: BTreeSet<String> = hosts.take_while(|_| budget.take(1)).collect();
        if !hosts.is_empty() {
            bindings.push(Binding {
                table: TableName::from(http_table(name)),
                server: ServerRank {
                    created: i64::MAX,
                    name: String::new(),
                    namespace: String::new(),
                    index: u32::MAX,
                },
                hosts: hosts.into_iter().map(Host::from).collect(),
                https_redirect: false,
                routes: 0,
            });
        }
    }
    if bindings.is_empty() {
        return None;
    }
    Some(RouteGroup {
        // Capital letters are in no namespace's name.
        name: "Gateway/closed".to_owned(),
        precedence: Precedence { tier: 2, created: i64::MAX, name: String::new(), namespace: String::new() },
        bindings,
        route_lists: vec![Vec::new()],
    })
}
