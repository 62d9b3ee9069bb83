//! The answer of `explain` as data: what the text is rendered from, and what `-o json` prints. Scripts read the JSON:
//! fields are added, never renamed.

use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    pub(crate) request: Asked,
    /// Absent where nothing listens on the port.
    pub(crate) listener: Option<Listener>,
    /// Absent for plaintext.
    pub(crate) tls: Option<Tls>,
    /// Table of virtual hosts; absent where the connection does not get that far.
    pub(crate) table: Option<String>,
    /// The virtual host's domain; absent where none fits.
    pub(crate) virtual_host: Option<String>,
    /// Rules in the order in which they are tried, up to the one that matches.
    pub(crate) rules: Vec<Rule>,
    pub(crate) outcome: Outcome,
}

/// The request as it is sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) authority: String,
    /// After normalisation, with the query: what rules are compared with.
    pub(crate) path: String,
    pub(crate) headers: Vec<Line>,
    pub(crate) from: String,
}

/// One header line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) value: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listener {
    pub(crate) name: String,
    /// The port that is bound; another than that in the URL where a Service maps one to the other.
    pub(crate) port: u16,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tls {
    pub(crate) sni: String,
    /// Server names that select the chain; empty = any.
    pub(crate) chain: Vec<String>,
    pub(crate) certificates: Vec<Certificate>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Certificate {
    /// Secret or file.
    pub(crate) source: String,
    /// Names it vouches for; empty where it could not be read.
    pub(crate) names: Vec<String>,
    pub(crate) not_after: Option<String>,
    /// What a client will stumble over.
    pub(crate) problem: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rule {
    /// `<namespace>/<name>` of the VirtualService.
    pub(crate) object: String,
    /// Of the rule; empty = none.
    pub(crate) name: String,
    pub(crate) matched: bool,
    /// The first condition that the request does not fulfil.
    pub(crate) failure: Option<String>,
}

/// What becomes of the request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub(crate) enum Outcome {
    Forward(Forward),
    /// An answer of the gateway's own that the configuration asks for.
    #[serde(rename_all = "camelCase")]
    Reply {
        status: u16,
        reason: String,
        location: Option<String>,
        body: Option<String>,
    },
    /// Bytes are passed on without looking at requests.
    Tcp,
    /// Not routed.
    #[serde(rename_all = "camelCase")]
    Refused {
        status: Option<u16>,
        reason: String,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Forward {
    /// Path and query as they leave.
    pub(crate) path: String,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) timeout: Option<String>,
    /// Attempts after the first.
    pub(crate) retries: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Destination {
    pub(crate) cluster: String,
    pub(crate) weight: u32,
    /// Of the route's requests, in percent.
    pub(crate) share: f64,
    pub(crate) endpoints: Vec<Endpoint>,
    /// Why requests that are drawn for it fail.
    pub(crate) problem: Option<String>,
    /// The authority as it leaves.
    pub(crate) authority: String,
    /// How the heads are edited: `set x-a: b`.
    pub(crate) request_edits: Vec<String>,
    pub(crate) response_edits: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoint {
    pub(crate) address: String,
    pub(crate) weight: u32,
}

impl Answer {
    /// Whether the request gets where the configuration sends it.
    pub(crate) fn is_routed(&self) -> bool {
        match &self.outcome {
            Outcome::Forward(_) | Outcome::Reply { .. } | Outcome::Tcp => true,
            Outcome::Refused { .. } => false,
        }
    }
}
