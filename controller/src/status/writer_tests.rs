//! The writer among objects that change and an API server that is scripted.

use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::core::v1::ObjectReference;
use prometheus::Registry;
use serde_json::json;
use tokio::sync::mpsc;
use translate::Problem;

use super::*;
use crate::source::kube::{Revision, StatusText};
use crate::status::conditions::tests::{object, report};
use crate::status::events::Fact;

/// Objects as a fleet knows them, and the API server that stores them.
#[derive(Default)]
struct World {
    state: Mutex<State>,
    dirty: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    objects: std::collections::BTreeMap<ObjectKey, ObjectStatus>,
    dirty: Dirty,
    version: u64,
    /// Every write that was made: object and status.
    writes: Vec<(String, Value)>,
    /// What the next writes are answered with.
    failures: Vec<WriteError>,
    /// The schema drops this.
    prunes: Option<&'static str>,
    /// Writes do not come back.
    silent: bool,
    ours: BTreeSet<ObjectKey>,
}

impl World {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts an object there, or changes it, and tells.
    fn put(&self, name: &str, change: impl FnOnce(&mut ObjectStatus)) -> ObjectKey {
        let key = ObjectKey::new(ObjectKind::VirtualService, "shop", name);
        self.put_key(&key, change);
        key
    }

    fn put_key(&self, key: &ObjectKey, change: impl FnOnce(&mut ObjectStatus)) {
        self.with(|state| {
            let fresh = || ObjectStatus { key: key.clone(), ..object(key.kind) };
            let mut status = state.objects.remove(key).unwrap_or_else(fresh);
            change(&mut status);
            state.objects.insert(key.clone(), status);
            state.dirty.urgent.insert(key.clone());
        });
        self.dirty.send_modify(|count| *count += 1);
    }

    fn writes(&self) -> usize {
        self.with(|state| state.writes.len())
    }

    fn status(&self, key: &ObjectKey) -> Value {
        let status = self.with(|state| state.objects[key].revision.status.clone());
        status.map(|status| status.value()).unwrap_or_default()
    }

    fn condition(&self, key: &ObjectKey, kind: &str) -> String {
        let status = self.status(key);
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|one| one["type"] == kind).unwrap_or_default();
        format!("{} {}", found["status"].as_str().unwrap_or("-"), found["reason"].as_str().unwrap_or("-"))
    }
}

fn revised(revision: &Revision, version: &str, status: Option<Value>) -> Arc<Revision> {
    Arc::new(Revision {
        resource_version: version.to_owned(),
        status: status.map(StatusText::from),
        ..revision.clone()
    })
}

impl Objects for Arc<World> {
    fn dirty(&self) -> watch::Receiver<u64> {
        self.dirty.subscribe()
    }

    async fn take_dirty(&self) -> Result<Dirty, Gone> {
        Ok(self.with(|state| std::mem::take(&mut state.dirty)))
    }

    async fn mark_all_dirty(&self) -> Result<(), Gone> {
        self.with(|state| state.dirty.urgent.extend(state.objects.keys().cloned()));
        self.dirty.send_modify(|count| *count += 1);
        Ok(())
    }

    async fn status_of(&self, keys: Vec<ObjectKey>) -> Result<Vec<ObjectStatus>, Gone> {
        Ok(self.with(|state| keys.iter().filter_map(|key| state.objects.get(key).cloned()).collect()))
    }

    async fn ingresses(&self) -> Result<BTreeSet<ObjectKey>, Gone> {
        Ok(self.with(|state| state.ours.clone()))
    }
}

impl StatusApi for World {
    async fn merge(&self, target: &Target, patch: &Value) -> Result<Stored, WriteError> {
        let stored = self.with(|state| {
            if !state.failures.is_empty() {
                return Err(state.failures.remove(0));
            }
            let known = state.objects.get_mut(&target.key).ok_or(WriteError::Gone)?;
            state.writes.push((target.key.name.clone(), patch.clone()));
            state.version += 1;
            let version = format!("{}", 100 + state.version);
            let mut status = known.revision.status.as_ref().map_or(json!({}), StatusText::value);
            merge_patch(&mut status, patch);
            if let Some(field) = state.prunes {
                status.as_object_mut().map(|status| status.remove(field));
            }
            if !state.silent {
                known.revision = revised(&known.revision, &version, Some(status.clone()));
                state.dirty.urgent.insert(target.key.clone());
            }
            Ok(Stored { resource_version: version, status: Some(status) })
        });
        self.dirty.send_modify(|count| *count += 1);
        stored
    }
}

/// RFC 7396.
fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().map(|target| target.remove(key));
        } else {
            merge_patch(&mut target[key], value);
        }
    }
}

struct Running {
    world: Arc<World>,
    leadership: Leadership,
    addresses: watch::Sender<Option<BTreeSet<IngressAddress>>>,
    told: mpsc::Receiver<(ObjectReference, Fact)>,
    stop: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn options() -> StatusOptions {
    StatusOptions {
        settle: Duration::ZERO,
        lazy: Duration::from_millis(60),
        retry_first: Duration::from_millis(5),
        ..StatusOptions::default()
    }
}

fn start(options: StatusOptions) -> Running {
    let metrics = StatusMetrics::register(&Registry::new()).unwrap();
    let world = Arc::new(World::default());
    let leadership = Leadership::fixed(true);
    let (events, told) = Events::channel(metrics.clone());
    let (addresses, seen) = watch::channel(None);
    let stop = CancellationToken::new();
    let writer =
        StatusWriter::new(Arc::clone(&world), Arc::clone(&world), leadership.clone(), events, seen, options, metrics);
    let ended = stop.clone();
    tokio::spawn(writer.run(ended));
    Running { world, leadership, addresses, told, stop }
}

async fn until(what: &str, reached: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !reached() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Long enough for what must not happen.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(40)).await;
}

#[tokio::test]
async fn what_differs_is_written_once() {
    let running = start(options());
    let world = &running.world;
    let key = world.put("a", |_| {});
    until("programmed", || world.condition(&key, "Programmed") == "True Programmed").await;
    world.put("a", |_| {});
    a_moment().await;
    assert_eq!(world.writes(), 1, "nothing has changed");
    world.put("a", |status| status.among = vec![report("spec.x", Problem::UnknownGateway { gateway: "g".to_owned() })]);
    until("unresolved", || world.condition(&key, "ResolvedRefs") == "False UnknownGateway").await;
    let (_, patch) = world.with(|state| state.writes[1].clone());
    let fields: Vec<&String> = patch.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["conditions", "validationMessages"], "differences only");
}

#[tokio::test]
async fn the_writer_goes_on_from_its_own_writes_before_they_come_back() {
    let running = start(options());
    let world = &running.world;
    world.with(|state| state.silent = true);
    world.put("a", |_| {});
    until("written", || world.writes() == 1).await;
    world.put("a", |_| {});
    a_moment().await;
    assert_eq!(world.writes(), 1);
}

#[tokio::test]
async fn a_schema_that_drops_fields_makes_no_loop() {
    let running = start(options());
    let world = &running.world;
    world.with(|state| state.prunes = Some("propagation"));
    let key = world.put("a", |_| {});
    until("programmed", || world.condition(&key, "Programmed") == "True Programmed").await;
    for _ in 0..5 {
        world.put("a", |_| {});
        a_moment().await;
    }
    assert_eq!(world.writes(), 1);
}

#[tokio::test]
async fn another_writer_is_left_alone_for_a_while() {
    let contest_first = Duration::from_millis(150);
    let running = start(StatusOptions { contest_first, ..options() });
    let world = &running.world;
    let key = world.put("a", |_| {});
    until("written", || world.writes() == 1).await;
    let meddle = |status: &mut ObjectStatus| {
        let theirs = json!({"conditions": [{"type": "Programmed", "status": "False", "reason": "Theirs"}]});
        status.revision = revised(&status.revision, "900", Some(theirs));
    };
    world.put("a", meddle);
    a_moment().await;
    assert_eq!(world.writes(), 1);
    until("repaired", || world.condition(&key, "Programmed") == "True Programmed").await;
}

#[tokio::test]
async fn numbers_wait_and_are_written_together() {
    let running = start(StatusOptions { lazy: Duration::from_millis(300), ..options() });
    let world = &running.world;
    let key = world.put("a", |_| {});
    until("written", || world.writes() == 1).await;
    for total in 3..20 {
        world.put("a", |status| (status.proxies.total, status.proxies.current) = (total, total));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    until("counted", || world.status(&key)["propagation"]["proxies"]["total"] == 19).await;
    assert_eq!(world.writes(), 2);
}

#[tokio::test]
async fn failures_are_tried_again_and_hopeless_ones_are_not() {
    let running = start(options());
    let world = &running.world;
    let later = || WriteError::Later("503".to_owned());
    world.with(|state| state.failures = vec![WriteError::Conflict, later(), later()]);
    let key = world.put("a", |_| {});
    until("programmed", || world.condition(&key, "Programmed") == "True Programmed").await;
    world.with(|state| state.failures = vec![WriteError::Refused("enum".to_owned())]);
    let b = world.put("b", |_| {});
    a_moment().await;
    assert_eq!((world.condition(&b, "Programmed").as_str(), world.writes()), ("- -", 1));
    // The kind has no status: none of its objects is tried.
    world.with(|state| state.failures = vec![WriteError::NoStatus]);
    world.put("c", |_| {});
    a_moment().await;
    world.put("d", |_| {});
    a_moment().await;
    assert_eq!(world.writes(), 1);
}

#[tokio::test]
async fn objects_that_are_gone_are_dropped() {
    let running = start(options());
    let world = &running.world;
    let key = world.put("a", |_| {});
    until("written", || world.writes() == 1).await;
    world.with(|state| {
        state.objects.remove(&key);
        state.dirty.urgent.insert(key.clone());
    });
    world.put("b", |_| {});
    until("the other", || world.writes() == 2).await;
    // Another object of the same name starts anew.
    world.put("a", |status| {
        let other = Revision { uid: "u-2".to_owned(), ..(*status.revision).clone() };
        status.revision = Arc::new(other);
    });
    until("again", || world.writes() == 3).await;
}

#[tokio::test]
async fn only_the_leader_writes_and_a_new_one_catches_up() {
    let running = start(options());
    let world = &running.world;
    let key = world.put("a", |_| {});
    until("written", || world.writes() == 1).await;
    running.leadership.lose();
    a_moment().await;
    world.put("a", |status| status.proxies.current = 1);
    world.put("b", |_| {});
    a_moment().await;
    assert_eq!(world.writes(), 1);
    running.leadership.gain();
    until("caught up", || world.condition(&key, "Programmed") == "False Pending" && world.writes() == 3).await;
}

#[tokio::test]
async fn no_more_per_second_than_allowed() {
    let running = start(StatusOptions { writes_per_second: 20, burst: 5, ..options() });
    let begin = Instant::now();
    for number in 0..15 {
        running.world.put(&format!("o{number}"), |_| {});
    }
    until("all", || running.world.writes() == 15).await;
    // Five at once, ten at 20 per second.
    assert!(begin.elapsed() >= Duration::from_millis(450), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn ingresses_get_the_addresses_of_the_gateway() {
    let running = start(options());
    let world = &running.world;
    let [ours, theirs] = ["ours", "theirs"].map(|name| ObjectKey::new(ObjectKind::Ingress, "shop", name));
    world.with(|state| state.ours.insert(ours.clone()));
    world.put_key(&ours, |_| {});
    world.put_key(&theirs, |_| {});
    a_moment().await;
    assert_eq!(world.writes(), 0, "not known yet");
    let address = |last: u8| IngressAddress::Ip(std::net::Ipv4Addr::new(192, 0, 2, last).into());
    running.addresses.send_replace(Some([address(1)].into()));
    until("the address", || world.status(&ours) == json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}})).await;
    running.addresses.send_replace(Some([address(2)].into()));
    until("another", || world.status(&ours) == json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}]}})).await;
    running.addresses.send_replace(Some(BTreeSet::new()));
    until("none", || world.status(&ours) == json!({"loadBalancer": {}})).await;
    assert_eq!(world.status(&theirs), Value::Null);
}

#[tokio::test]
async fn nothing_is_told_of_ingresses_that_others_serve() {
    let mut running = start(options());
    let world = Arc::clone(&running.world);
    let [ours, theirs] = ["ours", "theirs"].map(|name| ObjectKey::new(ObjectKind::Ingress, "shop", name));
    world.with(|state| state.ours.insert(ours.clone()));
    let breaks = |status: &mut ObjectStatus| {
        status.among = vec![report("spec.tls[0]", Problem::UnknownGateway { gateway: "g".to_owned() })];
    };
    world.put_key(&theirs, breaks);
    world.put_key(&ours, breaks);
    let told = async |running: &mut Running| {
        let (regarding, fact) = running.told.recv().await.unwrap();
        format!("{} {}", regarding.name.unwrap(), fact.reason)
    };
    assert_eq!(told(&mut running).await, "ours UnknownGateway");
    // Given away, it is no longer ours to talk about; back again, it is news.
    world.with(|state| state.ours.clear());
    world.put_key(&ours, breaks);
    a_moment().await;
    assert!(running.told.try_recv().is_err());
    world.with(|state| state.ours.insert(ours.clone()));
    world.put_key(&ours, breaks);
    assert_eq!(told(&mut running).await, "ours UnknownGateway");
    a_moment().await;
    assert!(running.told.try_recv().is_err());
}
