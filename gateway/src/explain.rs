//! What would happen to a request, found with the data path's own matching and without traffic.

use std::sync::Arc;

use crate::filter::{hygiene, path};
use crate::limits::GatewayLimits;
use crate::proxy::error::Failure;
use crate::proxy::head::{Fields, Protocol, RequestHead};
use crate::table::{Action, Chain, ClusterId, Forward, Listener, Route, Table, TlsChain, VirtualHost};

/// A request to explain.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// What the client says in SNI, for https.
    pub server_name: &'a str,
    /// Host, with port where the client would send one.
    pub authority: &'a str,
    /// Path and query.
    pub target: &'a str,
    pub headers: &'a [(String, String)],
}

/// How far a request gets.
#[derive(Debug)]
pub struct Explanation {
    /// The certificate's chain, for https.
    pub tls: Option<Arc<TlsChain>>,
    /// Path and query after normalisation.
    pub target: String,
    pub virtual_host: Option<Arc<VirtualHost>>,
    /// Rules in the order in which they count, up to the one that matched: each with the condition that failed first.
    pub tried: Vec<Tried>,
    pub verdict: Verdict,
}

/// A rule that was looked at.
#[derive(Debug)]
pub struct Tried {
    pub route: Arc<Route>,
    /// `None` for the rule that matched.
    pub failure: Option<String>,
}

/// The answer.
#[derive(Debug)]
pub enum Verdict {
    /// The handshake is closed: no chain for the name, or no certificate to show.
    HandshakeClosed(&'static str),
    /// Nothing serves such connections on the listener.
    NoChain,
    /// Bytes are passed on without looking at requests.
    Tcp,
    /// Status and reason of a reply to what cannot be served, before any route is looked at or after its rewrite.
    Refused {
        status: u16,
        reason: String,
    },
    HttpsRedirect {
        location: String,
    },
    NoRoute,
    Route(Outcome),
}

/// What the matching route does.
#[derive(Debug)]
pub enum Outcome {
    Redirect { status: u16, location: String },
    DirectResponse { status: u16, body: String },
    Forward(Forwarded),
}

/// A forwarded request.
#[derive(Debug)]
pub struct Forwarded {
    /// Path and query as the upstream gets them.
    pub target: String,
    pub timeout: Option<std::time::Duration>,
    /// Attempts after the first.
    pub retries: u32,
    pub destinations: Vec<Share>,
}

/// One of the destinations of a route.
#[derive(Debug)]
pub struct Share {
    pub cluster_name: ir::ClusterName,
    pub cluster: ClusterId,
    pub weight: u32,
    pub total: u64,
    /// Authority as this destination gets it.
    pub authority: String,
    /// Edits of the request's fields in words: `set x-a: b`.
    pub request_edits: Vec<String>,
    pub response_edits: Vec<String>,
}

/// Follows a request through a listener of `table`.
#[must_use]
pub fn explain(table: &Table, listener: &Listener, question: &Question<'_>) -> Explanation {
    let mut explanation = Explanation {
        tls: None,
        target: question.target.to_owned(),
        virtual_host: None,
        tried: Vec::new(),
        verdict: Verdict::NoChain,
    };
    let chain = if question.scheme == "https" {
        if listener.tls.is_empty() {
            return explanation;
        }
        let Some(found) = listener.tls.find(question.server_name.as_bytes()) else {
            explanation.verdict = Verdict::HandshakeClosed("no server of the listener has that name");
            return explanation;
        };
        explanation.tls = Some(Arc::clone(found));
        if !found.has_certificate() {
            explanation.verdict = Verdict::HandshakeClosed("the server has no certificate that can be used");
            return explanation;
        }
        &found.chain
    } else {
        match &listener.plaintext {
            Some(chain) => chain,
            None => return explanation,
        }
    };
    match chain {
        Chain::Tcp { .. } => {
            explanation.verdict = Verdict::Tcp;
            explanation
        }
        Chain::Http { table: id, .. } => {
            let hosts = table.route_table(*id);
            request(table, hosts.and_then(|hosts| hosts.find(question.authority.as_bytes())), question, explanation)
        }
    }
}

fn request(
    table: &Table,
    host: Option<&Arc<VirtualHost>>,
    question: &Question<'_>,
    mut explanation: Explanation,
) -> Explanation {
    let mut head = head_of(question);
    let prepared = hygiene::check(&head).and_then(|()| path::normalise(&mut head, table.settings().path_normalization));
    explanation.target = text(head.target());
    explanation.verdict = match (prepared, host) {
        (Err(failure), _) => refused(&failure),
        (Ok(()), None) => Verdict::NoRoute,
        (Ok(()), Some(_)) if hygiene::names_no_host(&head) => Verdict::NoRoute,
        (Ok(()), Some(host)) => {
            explanation.virtual_host = Some(Arc::clone(host));
            hygiene::strip(&mut head);
            if host.redirects(&head) {
                let reply = crate::filter::redirect::to_https(&head);
                Verdict::HttpsRedirect { location: location(&reply.head) }
            } else if head.path().starts_with(b"/") {
                // The winner is the data path's; the list up to it is for people.
                let winner = host.router.find_index(&head);
                for (index, (matcher, route)) in host.router.rules().enumerate() {
                    let failure = matcher.first_failure(&head).map(|failure| failure.to_string());
                    explanation.tried.push(Tried { route: Arc::clone(route), failure });
                    if Some(index) == winner {
                        break;
                    }
                }
                match host.router.find(&head) {
                    Some(route) => match outcome(route, &head) {
                        Ok(outcome) => Verdict::Route(outcome),
                        Err(failure) => refused(&failure),
                    },
                    None => Verdict::NoRoute,
                }
            } else {
                Verdict::NoRoute
            }
        }
    };
    explanation
}

fn head_of(question: &Question<'_>) -> RequestHead {
    let mut fields = Fields::default();
    for (name, value) in question.headers {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    let Question { method, scheme, server_name: _, authority, target, headers: _ } = question;
    RequestHead::new(
        Protocol::Http11,
        fields,
        method.as_bytes(),
        scheme.as_bytes(),
        authority.as_bytes(),
        target.as_bytes(),
    )
}

fn refused(failure: &Failure) -> Verdict {
    Verdict::Refused { status: failure.answer(false).status, reason: failure.to_string() }
}

fn outcome(route: &Route, head: &RequestHead) -> Result<Outcome, Failure> {
    Ok(match &route.action {
        Action::Redirect(redirect) => {
            let reply = redirect.reply(head);
            Outcome::Redirect { status: reply.head.status, location: location(&reply.head) }
        }
        Action::DirectResponse(response) => {
            let reply = response.reply(head);
            Outcome::DirectResponse { status: reply.head.status, body: text(reply.body) }
        }
        Action::Forward(forward) => Outcome::Forward(forwarded(forward, head)?),
    })
}

fn forwarded(forward: &Forward, head: &RequestHead) -> Result<Forwarded, Failure> {
    let target = match &forward.path_rewrite {
        // Of a running gateway only its own process knows the limits that were set.
        Some(rewrite) => text(&rewrite.apply(head, &GatewayLimits::default())?),
        None => text(head.target()),
    };
    let total = forward.destinations().iter().map(|it| u64::from(it.weight)).sum();
    let destinations = forward.destinations().iter().map(|it| Share {
        cluster_name: it.cluster_name.clone(),
        cluster: it.cluster,
        weight: it.weight,
        total,
        authority: {
            let replaced = forward.authority.as_ref().or(it.authority.as_ref());
            text(replaced.map_or(head.authority(), ir::Authority::as_bytes))
        },
        request_edits: it.edits.request.iter().map(ToString::to_string).collect(),
        response_edits: it.edits.response.iter().map(ToString::to_string).collect(),
    });
    Ok(Forwarded {
        target,
        timeout: forward.timeout,
        retries: forward.retry.as_ref().map_or(0, |retry| retry.attempts),
        destinations: destinations.collect(),
    })
}

fn location(head: &crate::proxy::head::ResponseHead) -> String {
    head.fields.named(b"location").next().map(text).unwrap_or_default()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
