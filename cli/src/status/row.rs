//! A gateway in the answer of `status`. Scripts read the JSON: fields are added, never renamed.

use controller::admin::{Connected, LastNack};
use serde::Serialize;

use crate::kubernetes::Pod;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum State {
    /// It has all there is.
    InSync,
    /// It has been sent something it has not answered yet, or will be.
    Stale,
    /// It is connected and has not answered anything.
    NeverAnswered,
    /// No replica knows it: it serves its last configuration.
    NotConnected,
}

impl State {
    fn words(self) -> &'static str {
        match self {
            Self::InSync => "in sync",
            Self::Stale => "stale",
            Self::NeverAnswered => "never answered",
            Self::NotConnected => "not connected",
        }
    }
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) state: State,
    version: Option<String>,
    address: Option<String>,
    service_account: Option<String>,
    controller: Option<String>,
    /// Seconds since 1970.
    connected_since: Option<u64>,
    resources: Option<usize>,
    pub(super) refused: Vec<Refused>,
    last_nack: Option<LastNack>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refused {
    pub(super) resource: String,
    pub(super) reason: String,
}

impl From<Connected> for Row {
    fn from(one: Connected) -> Self {
        let state = match (one.in_sync, one.acked) {
            (true, _) => State::InSync,
            (false, 0) => State::NeverAnswered,
            (false, _) => State::Stale,
        };
        let refused = one.refused.into_iter().map(|(resource, reason)| Refused { resource, reason });
        Self {
            namespace: one.namespace,
            pod: one.pod,
            state,
            version: Some(one.version),
            address: Some(one.address),
            service_account: Some(one.service_account),
            controller: Some(one.controller),
            connected_since: Some(one.connected_since),
            resources: Some(one.resources),
            refused: refused.collect(),
            last_nack: one.last_nack,
        }
    }
}

impl Row {
    pub(super) fn not_connected(pod: Pod) -> Self {
        let Pod { namespace, name } = pod;
        Self {
            namespace,
            pod: name,
            state: State::NotConnected,
            version: None,
            address: None,
            service_account: None,
            controller: None,
            connected_since: None,
            resources: None,
            refused: Vec::new(),
            last_nack: None,
        }
    }

    pub(super) fn cells(&self, now: i64) -> Vec<String> {
        let state = match self.refused.len() {
            0 => self.state.words().to_owned(),
            count => format!("{}, refuses {count}", self.state.words()),
        };
        let since = |then: u64| ago(now.saturating_sub(i64::try_from(then).unwrap_or(now)));
        let nack = self.last_nack.as_ref();
        vec![
            format!("{}.{}", self.pod, self.namespace),
            self.version.clone().unwrap_or_default(),
            self.connected_since.map(since).unwrap_or_default(),
            self.controller.clone().unwrap_or_default(),
            state,
            self.resources.map(|count| count.to_string()).unwrap_or_default(),
            nack.map(|nack| format!("{} {}: {}", since(nack.at), nack.resource, nack.reason)).unwrap_or_default(),
        ]
    }
}

/// `5s`, `12m`, `3h`, `9d`, as kubectl writes ages.
fn ago(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..=119 => format!("{seconds}s"),
        seconds @ 120..=7199 => format!("{}m", seconds / 60),
        seconds @ 7200..=172_799 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}
