//! Servers that share a port: which go together and which are left out (docs/semantics.md §2.4).

use std::collections::{BTreeMap, BTreeSet};

use super::{Candidate, ServerProtocol, tls};
use crate::report::{Problem, Report};

/// All sockets with their servers, in the order they came.
#[derive(Default)]
pub(super) struct Ports<'a> {
    pub(super) sockets: BTreeMap<SocketName, Socket<'a>>,
    /// Route tables of terminating servers are named after these; each may exist once.
    identities: BTreeSet<String>,
    /// TLS servers that share a name with others, and are left out.
    pub(super) left_out: Vec<Candidate<'a>>,
}

/// Servers with different addresses never conflict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SocketName {
    pub(super) port: u16,
    /// Empty for every address.
    pub(super) bind: String,
}

impl SocketName {
    pub(super) fn of(candidate: &Candidate<'_>) -> Self {
        let bind = match candidate.bind() {
            // Both mean what no address means.
            None | Some("0.0.0.0" | "::") => String::new(),
            Some(bind) => bind.to_owned(),
        };
        Self { port: candidate.port, bind }
    }
}

#[derive(Default)]
pub(super) struct Socket<'a> {
    /// Either all HTTP, or one TCP.
    pub(super) plaintext: Vec<Candidate<'a>>,
    pub(super) tls: Vec<Candidate<'a>>,
    /// Host entries of TLS servers with their `namespace/`, and who has them.
    entries: BTreeMap<String, String>,
    /// Server names that TLS servers answer to, and who does.
    names: BTreeMap<String, String>,
}

impl<'a> Ports<'a> {
    pub(super) fn add(&mut self, candidate: Candidate<'a>, reports: &mut Vec<Report>) {
        let socket = self.sockets.entry(SocketName::of(&candidate)).or_default();
        let refused = match candidate.protocol {
            ServerProtocol::Http | ServerProtocol::Tcp => socket.refuse_plaintext(&candidate),
            ServerProtocol::Tls => {
                let identity = tls::table_name(&candidate);
                let refused = socket.refuse_tls(&candidate).or_else(|| {
                    let taken = !self.identities.insert(identity.clone());
                    taken.then_some(Problem::ServerLeftOut {
                        why: "another server has the same port name and number:",
                        other: identity,
                    })
                });
                if refused.is_none() {
                    socket.take_names(&candidate);
                }
                refused
            }
        };
        match (refused, candidate.protocol) {
            (Some(problem), _) => {
                reports.push(Report { object: candidate.object(), field: candidate.path(), problem });
                if candidate.contested {
                    self.left_out.push(candidate);
                }
            }
            (None, ServerProtocol::Tls) => socket.tls.push(candidate),
            (None, ServerProtocol::Http | ServerProtocol::Tcp) => socket.plaintext.push(candidate),
        }
    }
}

impl<'a> Socket<'a> {
    pub(super) fn candidates(&self) -> impl Iterator<Item = &Candidate<'a>> {
        self.plaintext.iter().chain(&self.tls)
    }

    fn refuse_plaintext(&self, candidate: &Candidate<'_>) -> Option<Problem> {
        let first = self.plaintext.first()?;
        let both_http = first.protocol == ServerProtocol::Http && candidate.protocol == ServerProtocol::Http;
        (!both_http).then(|| Problem::ServerLeftOut {
            why: "servers without TLS share a port only if both speak HTTP; the port belongs to",
            other: name(first),
        })
    }

    fn refuse_tls(&self, candidate: &Candidate<'_>) -> Option<Problem> {
        if let Some(first) = self.plaintext.first() {
            let why = "a TLS server cannot join a port that an older server uses without TLS:";
            return Some(Problem::ServerLeftOut { why, other: name(first) });
        }
        if let Some(owner) = entries(candidate).find_map(|entry| self.entries.get(&entry)) {
            let why = "one of its hosts is already served with TLS on this port by";
            return Some(Problem::ServerLeftOut { why, other: owner.clone() });
        }
        let taken = tls::server_names(candidate).into_iter().find_map(|host| self.names.get(&host));
        taken.map(|owner| Problem::ServerLeftOut {
            why: "one of its hosts, without namespace, is already served with TLS on this port by",
            other: owner.clone(),
        })
    }

    fn take_names(&mut self, candidate: &Candidate<'_>) {
        let owner = name(candidate);
        self.entries.extend(entries(candidate).map(|entry| (entry, owner.clone())));
        self.names.extend(tls::server_names(candidate).into_iter().map(|host| (host, owner.clone())));
    }
}

fn entries<'a>(candidate: &'a Candidate<'_>) -> impl Iterator<Item = String> + use<'a> {
    candidate.hosts.iter().map(|host| match &host.namespace {
        Some(namespace) => format!("{namespace}/{}", host.host),
        None => host.host.clone(),
    })
}

fn name(candidate: &Candidate<'_>) -> String {
    format!("{} {}", candidate.object(), candidate.path())
}
