//! Kubernetes Events about objects: what a person wants to know without asking, once when it comes about and once when it
//! is over. What the same fact is about is in the Event's name, so that replicas and restarts do not tell it twice.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use crds::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use translate::Problem;

use super::bucket::Bucket;
use super::conditions::{CONDITIONS, errors, line};
use super::metrics::StatusMetrics;
use crate::fleet::ObjectStatus;
use crate::leader::{Leadership, NotLeader};

const CONTROLLER: &str = "sluice-controller";
/// API servers allow 1 KiB.
const NOTE_BYTES: usize = 1000;
/// Facts about one object that are told one by one.
const MOST_FACTS: usize = 10;
/// Of an object's name in the name of an Event, which may have 253 bytes.
const NAME_BYTES: usize = 230;

/// How Events are written.
#[derive(Clone, Debug)]
pub struct EventOptions {
    /// This controller, as Events name it: its pod.
    pub instance: String,
    pub per_second: u32,
    pub burst: u32,
    /// Events that may wait to be written; what comes beyond that is not told.
    pub queue: usize,
}

impl Default for EventOptions {
    fn default() -> Self {
        Self { instance: "sluice-controller".to_owned(), per_second: 5, burst: 50, queue: 500 }
    }
}

/// Something worth an Event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Fact {
    pub(super) warning: bool,
    pub(super) reason: &'static str,
    pub(super) note: String,
}

/// What is worth an Event about an object now.
pub(super) fn facts(object: &ObjectStatus) -> Vec<Fact> {
    let warning = |reason: &'static str, note: String| Fact { warning: true, reason, note: clip(&note) };
    let mut facts: Vec<Fact> = errors(object)
        .into_iter()
        .map(|(reason, message)| warning(reason, format!("{message}; this version is not in force")))
        .collect();
    if facts.is_empty() {
        let told = object.among.iter().filter(|report| is_worth_telling(&report.problem));
        facts.extend(told.map(|report| warning(report.problem.reason(), line(report))));
    }
    if let Some((proxy, why)) = object.proxies.rejected.first() {
        facts.push(warning("Rejected", format!("proxy {proxy} rejected {why}")));
    }
    facts.truncate(MOST_FACTS);
    facts
}

/// Something is missing, or was lost to another object. Other warnings stand in the status.
fn is_worth_telling(problem: &Problem) -> bool {
    problem.is_about_reference()
        || matches!(problem, Problem::ServerLeftOut { .. } | Problem::SubsetTaken { .. } | Problem::PolicyTaken { .. })
}

/// What was told of each object.
#[derive(Debug, Default)]
pub(super) struct Told {
    told: HashMap<ObjectKey, Vec<u64>>,
}

impl Told {
    /// Those facts that are new, and whether everything is well again.
    pub(super) fn news(&mut self, object: &ObjectStatus, previous: Option<&Value>) -> Vec<Fact> {
        let facts = facts(object);
        let known = self.told.get(&object.key);
        let mut news: Vec<Fact> = facts
            .iter()
            .filter(|fact| match known {
                Some(known) => !known.contains(&mark(fact)),
                // The leader before us, or we before a restart.
                None => !stands_in(previous, &fact.note),
            })
            .cloned()
            .collect();
        let was_wrong = known.is_some_and(|known| !known.is_empty());
        if facts.is_empty() && was_wrong {
            let note = "nothing is wrong with it any more".to_owned();
            news.push(Fact { warning: false, reason: "Accepted", note });
        }
        if facts.is_empty() {
            self.told.remove(&object.key);
        } else {
            self.told.insert(object.key.clone(), facts.iter().map(mark).collect());
        }
        news
    }

    pub(super) fn forget(&mut self, key: &ObjectKey) {
        self.told.remove(key);
    }

    pub(super) fn clear(&mut self) {
        self.told.clear();
    }
}

fn mark(fact: &Fact) -> u64 {
    let mut hasher = DefaultHasher::new();
    fact.hash(&mut hasher);
    hasher.finish()
}

/// Whether a condition says so already.
fn stands_in(status: Option<&Value>, note: &str) -> bool {
    let start = note.split("; this version is not in force").next().unwrap_or(note);
    let conditions = status.and_then(|status| status.get(CONDITIONS)).and_then(Value::as_array);
    let mut messages =
        conditions.into_iter().flatten().filter_map(|entry| entry.get("message").and_then(Value::as_str));
    messages.any(|message| message.contains(start))
}

/// Takes Events to be written. Never waits.
#[derive(Clone, Debug)]
pub struct Events {
    sender: mpsc::Sender<(ObjectReference, Fact)>,
    metrics: StatusMetrics,
}

impl Events {
    /// Starts the task that writes them, while this controller is the leader, until told to stop.
    #[must_use]
    pub fn start(
        client: kube::Client,
        options: EventOptions,
        leadership: Leadership,
        metrics: StatusMetrics,
        stop: CancellationToken,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(options.queue.max(1));
        let writer = Writer { client, options, leadership, metrics: metrics.clone(), counts: BTreeMap::new() };
        tokio::spawn(async move {
            tokio::select! {
                () = writer.run(receiver) => {}
                () = stop.cancelled() => {}
            }
        });
        Self { sender, metrics }
    }

    pub(super) fn tell(&self, object: &ObjectStatus, fact: Fact) {
        let ObjectKey { kind, namespace, name } = &object.key;
        let regarding = ObjectReference {
            api_version: Some(object.revision.api_version.clone()),
            kind: Some(kind.as_str().to_owned()),
            namespace: Some(namespace.clone()),
            name: Some(name.clone()),
            uid: Some(object.revision.uid.clone()),
            resource_version: Some(object.revision.resource_version.clone()),
            ..ObjectReference::default()
        };
        if self.sender.try_send((regarding, fact)).is_err() {
            self.metrics.events.with_label_values(&["dropped"]).inc();
        }
    }

    /// For tests that look at what would be written.
    #[cfg(test)]
    pub(super) fn channel(metrics: StatusMetrics) -> (Self, mpsc::Receiver<(ObjectReference, Fact)>) {
        let (sender, receiver) = mpsc::channel(1_000);
        (Self { sender, metrics }, receiver)
    }
}

struct Writer {
    client: kube::Client,
    options: EventOptions,
    leadership: Leadership,
    metrics: StatusMetrics,
    /// How often Events were told that are still kept by the API server, which is an hour by default.
    counts: BTreeMap<String, (i32, Instant)>,
}

impl Writer {
    async fn run(mut self, mut facts: mpsc::Receiver<(ObjectReference, Fact)>) {
        let mut bucket = Bucket::new(self.options.per_second, self.options.burst, Instant::now());
        let mut troubled = false;
        while let Some((regarding, fact)) = facts.recv().await {
            while bucket.available(Instant::now()) == 0 {
                tokio::time::sleep(bucket.wait()).await;
            }
            bucket.take();
            let leadership = self.leadership.clone();
            let result = match leadership.write(self.write(regarding, &fact)).await {
                Ok(Ok(())) => "written",
                // The leader tells it.
                Err(NotLeader) => "not_leader",
                Ok(Err(error)) => {
                    // Not tried again: the status says the same.
                    if std::mem::replace(&mut troubled, true) {
                        debug!(%error, "an Event cannot be written");
                    } else {
                        warn!(%error, "an Event cannot be written; later ones are left out without a word");
                    }
                    "failed"
                }
            };
            troubled &= result != "written";
            self.metrics.events.with_label_values(&[result]).inc();
        }
    }

    async fn write(&mut self, regarding: ObjectReference, fact: &Fact) -> kube::Result<()> {
        let namespace = regarding.namespace.clone().filter(|it| !it.is_empty()).unwrap_or_else(|| "default".to_owned());
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let name = event_name(&regarding, fact);
        let now = Instant::now();
        self.counts.retain(|_, (_, at)| now.duration_since(*at) < Duration::from_secs(3_600));
        let (count, last) = self.counts.entry(format!("{namespace}/{name}")).or_insert((0, now));
        (*count, *last) = (count.saturating_add(1), now);
        let count = *count;
        let time = MicroTime(Timestamp::now());
        let event = Event {
            metadata: ObjectMeta { name: Some(name.clone()), namespace: Some(namespace), ..ObjectMeta::default() },
            action: Some("Translate".to_owned()),
            event_time: Some(time.clone()),
            note: Some(fact.note.clone()),
            reason: Some(fact.reason.to_owned()),
            regarding: Some(regarding),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.options.instance.clone()),
            type_: Some(if fact.warning { "Warning" } else { "Normal" }.to_owned()),
            ..Event::default()
        };
        match events.create(&PostParams::default(), &event).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {
                // Told before: it happened again.
                let series = EventSeries { count: count.max(2), last_observed_time: time };
                let patch = Patch::Merge(json!({ "series": series }));
                events.patch(&name, &PatchParams::default(), &patch).await.map(drop)
            }
            // The namespace is on its way out, and the object with it.
            Err(kube::Error::Api(status)) if status.code == 404 || is_ending(&status) => Ok(()),
            other => other.map(drop),
        }
    }
}

fn is_ending(status: &kube::core::Status) -> bool {
    status.code == 403 && status.message.contains("being terminated")
}

/// The same for the same fact about the same object.
fn event_name(regarding: &ObjectReference, fact: &Fact) -> String {
    let mut hasher = DefaultHasher::new();
    (fact, &regarding.uid, &regarding.kind).hash(&mut hasher);
    let name = regarding.name.as_deref().unwrap_or_default();
    let end = (0..=name.len().min(NAME_BYTES)).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    format!("{}.{:016x}", name[..end].trim_end_matches(['.', '-']), hasher.finish())
}

fn clip(note: &str) -> String {
    if note.len() <= NOTE_BYTES {
        return note.to_owned();
    }
    let end = (0..=NOTE_BYTES).rev().find(|end| note.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &note[..end])
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
