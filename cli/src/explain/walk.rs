//! Takes a question through the gateway's own table and matcher and writes down what they say.

use std::sync::Arc;

use controller::Step;
use gateway::explain::{Explanation, Forwarded, Outcome as Done, Share, Tried, Verdict, explain};
use gateway::table::{Listener, Table, TlsChain};
use ir::Bind;
use time::OffsetDateTime;

use super::answer::Listener as ListenerAnswer;
use super::answer::{Answer, Asked, Destination, Endpoint, Forward, Line, Outcome, Rule, Tls};
use super::certificate;
use super::request::{Question, Scheme};

/// `port` is where the gateway listens for connections to the port in the question.
pub(crate) fn walk(table: &Table, step: &Step, question: &Question, port: u16, now: OffsetDateTime) -> Answer {
    let mut answer = Answer {
        request: asked(question),
        listener: None,
        tls: None,
        table: None,
        virtual_host: None,
        rules: Vec::new(),
        outcome: Outcome::Refused { status: None, reason: nothing_listens(table, question.port) },
    };
    let Some(listener) = listener(table, port) else { return answer };
    answer.listener = Some(ListenerAnswer { name: listener.name.to_string(), port });
    let explanation = explain(
        table,
        listener,
        &gateway::explain::Question {
            method: &question.method,
            scheme: question.scheme.as_str(),
            server_name: &question.host,
            authority: &question.authority,
            target: &question.target,
            headers: &question.headers,
        },
    );
    let Explanation { tls, target, virtual_host, tried, verdict } = explanation;
    answer.request.path = target;
    let chain = match (&tls, question.scheme) {
        (Some(tls), _) => Some(&tls.chain),
        (None, Scheme::Http) => listener.plaintext.as_ref(),
        (None, Scheme::Https) => None,
    };
    answer.table = chain.and_then(|chain| match chain {
        gateway::table::Chain::Http { name, .. } => Some(name.to_string()),
        gateway::table::Chain::Tcp { .. } => None,
    });
    answer.tls = tls.map(|tls| tls_answer(listener, &tls, step, question, now));
    answer.virtual_host = virtual_host.map(|host| host.host.to_string());
    answer.rules = tried.iter().map(rule).collect();
    answer.outcome = outcome(table, verdict, question, answer.virtual_host.is_some());
    answer
}

fn asked(question: &Question) -> Asked {
    let Question { method, scheme, host, port, authority, target, headers, from } = question;
    let port = match (scheme, port) {
        (Scheme::Http, 80) | (Scheme::Https, 443) => String::new(),
        (_, port) => format!(":{port}"),
    };
    Asked {
        method: method.clone(),
        url: format!("{}://{host}{port}{target}", scheme.as_str()),
        authority: authority.clone(),
        path: target.clone(),
        headers: headers.iter().map(|(name, value)| Line { name: name.clone(), value: value.clone() }).collect(),
        from: from.to_string(),
    }
}

fn listener(table: &Table, port: u16) -> Option<&Arc<Listener>> {
    // One on every address before one on a certain one: which that is the question does not say.
    let every = table.listeners().find(|listener| listener.bind == Bind::Port(port));
    every.or_else(|| {
        table.listeners().find(|listener| match &listener.bind {
            Bind::Address(address) => address.port() == port,
            Bind::Port(_) | Bind::Unix(_) => false,
        })
    })
}

fn nothing_listens(table: &Table, port: u16) -> String {
    let mut ports: Vec<u16> = table
        .listeners()
        .filter_map(|listener| match &listener.bind {
            Bind::Port(port) => Some(*port),
            Bind::Address(address) => Some(address.port()),
            Bind::Unix(_) => None,
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    if ports.is_empty() {
        return format!("nothing listens on port {port}: no Gateway applies to this gateway's labels");
    }
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    format!("nothing listens on port {port}; open are {}", ports.join(", "))
}

fn tls_answer(
    listener: &Listener,
    chain: &Arc<TlsChain>,
    step: &Step,
    question: &Question,
    now: OffsetDateTime,
) -> Tls {
    let same = |other: &Arc<TlsChain>| Arc::ptr_eq(other, chain);
    let mut names: Vec<String> =
        listener.tls.iter().filter(|(_, other)| same(other)).map(|(name, _)| name.to_string()).collect();
    names.sort();
    names.retain(|name| name != "*");
    let certificates = chain.certificates.iter();
    Tls {
        sni: question.host.clone(),
        chain: names,
        certificates: certificates.map(|source| certificate::describe(source, step, &question.host, now)).collect(),
    }
}

fn rule(tried: &Tried) -> Rule {
    let Tried { route, failure } = tried;
    Rule {
        object: route.group.to_string(),
        name: route.name.to_string(),
        matched: failure.is_none(),
        failure: failure.clone(),
    }
}

fn outcome(table: &Table, verdict: Verdict, question: &Question, has_host: bool) -> Outcome {
    let refused = |status, reason: String| Outcome::Refused { status, reason };
    match verdict {
        Verdict::HandshakeClosed(why) => refused(None, format!("the TLS handshake is closed: {why}")),
        Verdict::NoChain => match question.scheme {
            Scheme::Http => refused(None, "the connection is closed: this port serves TLS only".to_owned()),
            Scheme::Https => refused(None, "the handshake is closed: this port serves no TLS".to_owned()),
        },
        Verdict::Tcp => Outcome::Tcp,
        Verdict::Refused { status, reason } => refused(Some(status), reason),
        Verdict::NoRoute if has_host => refused(Some(404), "no rule of the virtual host matches".to_owned()),
        Verdict::NoRoute => refused(Some(404), format!("no virtual host for {}", question.authority)),
        Verdict::HttpsRedirect { location } => reply(301, "the Gateway redirects plain HTTP to HTTPS", Some(location)),
        Verdict::Route(Done::Redirect { status, location }) => reply(status, "redirect", Some(location)),
        Verdict::Route(Done::DirectResponse { status, body }) => Outcome::Reply {
            status,
            reason: "direct response".to_owned(),
            location: None,
            body: Some(body).filter(|body| !body.is_empty()),
        },
        Verdict::Route(Done::Forward(forwarded)) => Outcome::Forward(forward(table, forwarded)),
    }
}

fn reply(status: u16, reason: &str, location: Option<String>) -> Outcome {
    Outcome::Reply { status, reason: reason.to_owned(), location, body: None }
}

fn forward(table: &Table, forwarded: Forwarded) -> Forward {
    let Forwarded { target, timeout, retries, destinations } = forwarded;
    Forward {
        path: target,
        destinations: destinations.into_iter().map(|share| destination(table, share)).collect(),
        timeout: timeout.map(|timeout| format!("{timeout:?}")),
        retries,
    }
}

fn destination(table: &Table, share: Share) -> Destination {
    let Share { cluster_name, cluster, weight, total, authority, request_edits, response_edits } = share;
    let (endpoints, problem) = match table.cluster(cluster) {
        None => (Vec::new(), Some("there is no such service or subset: 503".to_owned())),
        Some(cluster) => {
            let endpoints: Vec<Endpoint> = cluster
                .endpoints()
                .iter()
                .map(|endpoint| Endpoint { address: endpoint.address(), weight: endpoint.weight() })
                .collect();
            (endpoints, unresolved(cluster.config()))
        }
    };
    let problem = problem.or_else(|| endpoints.is_empty().then(|| "no endpoint: 503".to_owned()));
    let problem = if endpoints.is_empty() { problem } else { None };
    Destination {
        cluster: cluster_name.to_string(),
        weight,
        share: f64::from(weight) * 100.0 / total.max(1) as f64,
        endpoints,
        problem,
        authority,
        request_edits,
        response_edits,
    }
}

/// Names are resolved by a running gateway only.
fn unresolved(cluster: &ir::Cluster) -> Option<String> {
    match cluster.discovery {
        ir::Discovery::Listed => None,
        ir::Discovery::Dns { .. } => Some("endpoints are resolved by DNS when the gateway runs".to_owned()),
    }
}
