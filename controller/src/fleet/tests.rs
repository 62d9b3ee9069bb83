//! The fleet's steps, with objects and times made by hand.

use std::collections::BTreeMap;

use crds::object::{Pod, SecretBytes, SecretData};
use crds::{Body, Meta, Object, ObjectKind};
use translate::TranslationLimits;

use super::log::Cursor;
use super::*;
use crate::limits::ControllerLimits;
use crate::source::kube::{ObjectEvent, Revision};

struct Bench {
    state: State,
    now: Instant,
}

fn home() -> Home {
    Home {
        control_namespace: "istio-system".to_owned(),
        cluster: "Kubernetes".to_owned(),
        limits: TranslationLimits::default(),
        bounds: ControllerLimits::default(),
    }
}

fn revision(generation: i64, noticed: Instant) -> Revision {
    Revision {
        uid: "uid".to_owned(),
        generation,
        resource_version: generation.to_string(),
        api_version: "networking.istio.io/v1".to_owned(),
        noticed,
        status: None,
    }
}

impl Bench {
    fn new() -> Self {
        Self::bounded(ControllerLimits::default())
    }

    fn bounded(bounds: ControllerLimits) -> Self {
        Self { state: State::new(Home { bounds, ..home() }), now: Instant::now() }
    }

    /// A cluster with a Gateway, a pod it selects, and nothing else.
    fn with_gateway(servers: &str) -> Self {
        let mut bench = Self::new();
        let gateway = format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: edge, namespace: istio-system}}\nspec:\n  selector: {{istio: ingressgateway}}\n  servers:\n{servers}"
        );
        let mut events = bench.events(&gateway, 1);
        events.push(pod("edge-0", &[("istio", "ingressgateway"), ("pod-template-hash", "1")]));
        events.push(pod("edge-1", &[("istio", "ingressgateway"), ("pod-template-hash", "2")]));
        bench.batch(events, true);
        bench
    }

    fn events(&self, yaml: &str, generation: i64) -> Vec<ObjectEvent> {
        let documents = crds::yaml::read(yaml).into_iter();
        documents
            .map(|document| match document.outcome {
                crds::yaml::Outcome::Object(object) => {
                    ObjectEvent::Applied { object: Arc::new(object), revision: revision(generation, self.now) }
                }
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn batch(&mut self, events: Vec<ObjectEvent>, synced: bool) -> super::state::Outcome {
        let batch = KubeBatch { events, answered: Vec::new(), noticed: self.now, synced };
        self.state.batch(batch, self.now)
    }

    fn apply(&mut self, yaml: &str, generation: i64) {
        let events = self.events(yaml, generation);
        self.batch(events, true);
    }

    fn join(&mut self, pod: &str) -> Arc<Member> {
        self.state.join(info(pod), self.now, SystemTime::UNIX_EPOCH).unwrap()
    }

    fn answer(&mut self, member: &Member, cursor: Cursor, after_millis: u64) -> Vec<Duration> {
        let now = self.now + Duration::from_millis(after_millis);
        self.state.answered(member, &Answer { cursor, ..Answer::default() }, now, SystemTime::UNIX_EPOCH)
    }

    fn status(&self, kind: ObjectKind, name: &str) -> ObjectStatus {
        self.state.status_of(&ObjectKey::new(kind, "istio-system", name)).unwrap()
    }
}

fn info(pod: &str) -> ProxyInfo {
    ProxyInfo {
        namespace: "istio-system".to_owned(),
        pod: pod.to_owned(),
        service_account: "edge".to_owned(),
        version: String::new(),
        instance: String::new(),
        address: String::new(),
    }
}

fn pod(name: &str, labels: &[(&str, &str)]) -> ObjectEvent {
    let labels: BTreeMap<_, _> = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let meta = Meta { name: name.to_owned(), namespace: "istio-system".to_owned(), labels, ..Meta::default() };
    let body = Body::Pod(Pod { service_account: Some("edge".to_owned()), ..Pod::default() });
    ObjectEvent::Applied { object: Arc::new(Object { meta, body }), revision: revision(0, Instant::now()) }
}

const HTTP: &str = "  - port: {number: 80, name: http, protocol: HTTP}\n    hosts: ['*']\n";
const HTTPS: &str = "  - port: {number: 443, name: https, protocol: HTTPS}\n    hosts: ['*']\n    tls: {mode: SIMPLE, credentialName: shop}\n";

fn virtual_service(name: &str, status: u16) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: istio-system}}\nspec: {{hosts: [{name}.test], gateways: [edge], http: [{{directResponse: {{status: {status}}}}}]}}\n"
    )
}

fn head(member: &Member) -> Cursor {
    member.scope.published().unwrap()
}

#[test]
fn nothing_is_told_before_everything_was_read() {
    let mut bench = Bench::new();
    bench.batch(vec![pod("edge-0", &[])], false);
    assert_eq!(bench.state.join(info("edge-0"), bench.now, SystemTime::UNIX_EPOCH).unwrap_err(), JoinError::NotSynced);
    bench.batch(Vec::new(), true);
    assert!(bench.join("edge-0").scope.published().is_some());
}

#[test]
fn a_proxy_must_run_in_a_pod_of_its_service_account() {
    let mut bench = Bench::with_gateway(HTTP);
    let stranger = ProxyInfo { service_account: "other".to_owned(), ..info("edge-0") };
    let refused = bench.state.join(stranger, bench.now, SystemTime::UNIX_EPOCH).unwrap_err();
    assert!(matches!(refused, JoinError::OtherServiceAccount { .. }), "{refused}");
    let refused = bench.state.join(info("edge-9"), bench.now, SystemTime::UNIX_EPOCH).unwrap_err();
    assert!(matches!(refused, JoinError::UnknownPod { .. }), "{refused}");
}

#[test]
fn replicas_share_what_they_are_told() {
    let mut bench = Bench::with_gateway(HTTP);
    let (one, two) = (bench.join("edge-0"), bench.join("edge-1"));
    assert!(Arc::ptr_eq(&one.scope, &two.scope));
    assert_eq!(bench.state.scopes.len(), 1);
}

#[test]
fn a_change_goes_out_alone_and_its_way_is_followed() {
    let mut bench = Bench::with_gateway(HTTP);
    bench.apply(&virtual_service("web", 200), 1);
    let (one, two) = (bench.join("edge-0"), bench.join("edge-1"));
    let start = head(&one);
    bench.answer(&one, start, 1);
    bench.answer(&two, start, 1);
    bench.state.take_dirty();
    bench.apply(&virtual_service("web", 201), 2);
    let pull = one.scope.since(start, |_| true);
    assert_eq!(pull.delta.changed.len(), 1);
    assert_eq!(pull.delta.changed[0].key.kind, ir::Kind::RouteGroup);
    let key = ObjectKey::new(ObjectKind::VirtualService, "istio-system", "web");
    assert!(bench.state.take_dirty().urgent.contains(&key));
    let proxies = |bench: &Bench| {
        let Proxies { total, current, rejected } = bench.status(ObjectKind::VirtualService, "web").proxies;
        (total, current, rejected.len())
    };
    assert_eq!(proxies(&bench), (2, 0, 0));
    assert_eq!(bench.answer(&one, pull.cursor, 10), [Duration::from_millis(10)]);
    assert_eq!(proxies(&bench), (2, 1, 0));
    let dirty = bench.state.take_dirty();
    assert!(dirty.urgent.is_empty() && dirty.lazy.contains(&key), "{dirty:?}");
    bench.answer(&two, pull.cursor, 30);
    assert_eq!(proxies(&bench), (2, 2, 0));
    assert!(bench.state.take_dirty().urgent.contains(&key));
    let latency = bench.status(ObjectKind::VirtualService, "web").latency.unwrap();
    assert_eq!((latency.p50.as_millis(), latency.p99.as_millis()), (10, 30));
}

#[test]
fn a_proxy_that_leaves_holds_nothing_up() {
    let mut bench = Bench::with_gateway(HTTP);
    bench.apply(&virtual_service("web", 200), 1);
    let (one, two) = (bench.join("edge-0"), bench.join("edge-1"));
    for member in [&one, &two] {
        bench.answer(member, head(member), 1);
    }
    bench.apply(&virtual_service("web", 201), 2);
    bench.answer(&one, head(&one), 5);
    bench.state.take_dirty();
    bench.state.leave(&two);
    let key = ObjectKey::new(ObjectKind::VirtualService, "istio-system", "web");
    assert!(bench.state.take_dirty().urgent.contains(&key));
    let proxies = bench.status(ObjectKind::VirtualService, "web").proxies;
    assert_eq!((proxies.total, proxies.current), (1, 1));
}

#[test]
fn what_a_proxy_refuses_is_known_until_it_gets_something_else() {
    let mut bench = Bench::with_gateway(HTTP);
    bench.apply(&virtual_service("web", 200), 1);
    let one = bench.join("edge-0");
    bench.answer(&one, head(&one), 1);
    bench.apply(&virtual_service("web", 201), 2);
    let pushed = one.scope.since(one.acked(), |_| true).delta.changed;
    let keys: Vec<_> = pushed.iter().map(|one| one.key.clone()).collect();
    let refused = Refused { version: pushed[0].version.to_string(), reason: "too new".to_owned() };
    let answer = Answer { cursor: head(&one), settled: keys.clone(), refused: vec![(keys[0].clone(), refused)] };
    bench.state.answered(&one, &answer, bench.now, SystemTime::UNIX_EPOCH);
    let proxies = bench.status(ObjectKind::VirtualService, "web").proxies;
    assert_eq!((proxies.total, proxies.current), (1, 0));
    assert!(proxies.rejected[0].0 == "istio-system/edge-0" && proxies.rejected[0].1.contains("too new"));
    // The Gateway is not concerned.
    assert_eq!(bench.status(ObjectKind::Gateway, "edge").proxies.current, 1);
    bench.apply(&virtual_service("web", 202), 3);
    let answer = Answer { cursor: head(&one), settled: keys, refused: Vec::new() };
    bench.state.answered(&one, &answer, bench.now, SystemTime::UNIX_EPOCH);
    let proxies = bench.status(ObjectKind::VirtualService, "web").proxies;
    assert_eq!((proxies.total, proxies.current, proxies.rejected.len()), (1, 1, 0));
}

#[test]
fn a_bad_version_costs_only_itself() {
    let mut bench = Bench::with_gateway(HTTP);
    bench.apply(&virtual_service("web", 200), 1);
    let one = bench.join("edge-0");
    bench.answer(&one, head(&one), 1);
    let before = head(&one);
    bench.apply(&virtual_service("web", 9), 2);
    assert_eq!(head(&one), before, "the last good version stays");
    let status = bench.status(ObjectKind::VirtualService, "web");
    assert!(status.held && !status.own.is_empty());
    let key = ObjectKey::new(ObjectKind::VirtualService, "istio-system", "web");
    let errors = vec!["spec.http: not a list".to_owned()];
    let unreadable = |uid: &str| {
        let revision = Revision { uid: uid.to_owned(), ..revision(3, Instant::now()) };
        vec![ObjectEvent::Unreadable { key: key.clone(), revision, errors: errors.clone() }]
    };
    bench.batch(unreadable("uid"), true);
    assert_eq!(head(&one), before);
    assert_eq!(bench.status(ObjectKind::VirtualService, "web").unreadable, errors);
    // Another object of that name has nothing to do with the one before.
    bench.batch(unreadable("another"), true);
    let gone = one.scope.since(before, |_| true).delta;
    assert_eq!((gone.changed.len(), gone.removed[0].kind), (0, ir::Kind::RouteGroup));
    bench.batch(vec![ObjectEvent::Deleted { key: key.clone() }], true);
    assert!(bench.state.status_of(&key).is_none());
}

#[test]
fn nothing_is_kept_of_what_is_gone() {
    let mut bench = Bench::with_gateway(HTTP);
    let one = bench.join("edge-0");
    bench.answer(&one, head(&one), 1);
    bench.apply(&virtual_service("web", 200), 1);
    let key = ObjectKey::new(ObjectKind::VirtualService, "istio-system", "web");
    let marked = |bench: &Bench| bench.state.scopes.values().any(|serving| serving.mark(&key).is_some());
    assert!(marked(&bench));
    bench.batch(vec![ObjectEvent::Deleted { key: key.clone() }], true);
    assert!(!marked(&bench));
}

#[test]
fn publishing_waits_for_secrets_that_were_not_looked_at() {
    let mut bench = Bench::with_gateway(HTTPS);
    let one = bench.join("edge-0");
    assert_eq!(one.scope.published(), None);
    let secret = SecretRef { namespace: "istio-system".to_owned(), name: "shop".to_owned() };
    assert_eq!(bench.state.wanted_secrets(), Some([secret.clone()].into()));
    assert_eq!(bench.state.wanted_secrets(), None, "told once");
    let pair = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
    let data = [
        ("tls.crt".to_owned(), SecretBytes::from(pair.cert.pem().into_bytes())),
        ("tls.key".to_owned(), SecretBytes::from(pair.signing_key.serialize_pem().into_bytes())),
    ];
    let meta = Meta { name: "shop".to_owned(), namespace: "istio-system".to_owned(), ..Meta::default() };
    let body = Body::Secret(SecretData { kind: String::new(), data: data.into() });
    let event = ObjectEvent::Applied { object: Arc::new(Object { meta, body }), revision: revision(0, bench.now) };
    let batch = KubeBatch { events: vec![event], answered: vec![secret], noticed: bench.now, synced: true };
    bench.state.batch(batch, bench.now);
    let pull = one.scope.since(0, |_| true);
    assert!(pull.delta.changed.iter().any(|one| one.key.kind == ir::Kind::Secret), "with the first push");
}

#[test]
fn publishing_does_not_wait_for_ever() {
    let mut bench = Bench::with_gateway(HTTPS);
    let one = bench.join("edge-0");
    let deadline = bench.state.deadline().unwrap();
    bench.state.publish(deadline);
    assert!(one.scope.published().is_some());
    assert_eq!(bench.state.deadline(), None);
}

#[test]
fn a_proxy_has_one_stream_and_moves_with_its_pod() {
    let mut bench = Bench::with_gateway(HTTP);
    let old = bench.join("edge-0");
    let new = bench.join("edge-0");
    assert!(old.end.is_cancelled() && !new.end.is_cancelled());
    bench.batch(vec![pod("edge-0", &[("istio", "ingressgateway"), ("pod-template-hash", "3")])], true);
    assert!(!new.end.is_cancelled(), "nothing that matters has changed");
    bench.batch(vec![pod("edge-0", &[("istio", "other")])], true);
    assert!(new.end.is_cancelled());
}

#[test]
fn nobody_is_translated_for_only_for_a_while() {
    let mut bench = Bench::with_gateway(HTTP);
    let member = bench.join("edge-0");
    bench.state.leave(&member);
    bench.apply(&virtual_service("web", 200), 1);
    assert_eq!(bench.state.scopes.len(), 1, "it may be back at once");
    bench.now += Duration::from_secs(11 * 60);
    bench.apply(&virtual_service("web", 201), 2);
    assert_eq!(bench.state.scopes.len(), 0);
    bench.join("edge-0");
    bench.now += Duration::from_secs(3600);
    bench.apply(&virtual_service("web", 202), 3);
    assert_eq!(bench.state.scopes.len(), 1);
}

proptest::proptest! {
    /// Whatever happens, whoever follows by differences has what there is, however small the pieces they come in.
    #[test]
    fn differences_add_up(steps in proptest::collection::vec((0..4_usize, 0..3_u8, proptest::bool::weighted(0.8)), 1..80)) {
        let mut bench = Bench::with_gateway(HTTP);
        let member = bench.join("edge-0");
        let mut have: BTreeMap<ir::Key, Arc<str>> = BTreeMap::new();
        let mut position = Position::after(0);
        for (index, what, read) in steps {
            let name = format!("vs{index}");
            let key = ObjectKey::new(ObjectKind::VirtualService, "istio-system", &name);
            match what {
                0 => { bench.batch(vec![ObjectEvent::Deleted { key }], true); }
                other => bench.apply(&virtual_service(&name, 200 + u16::from(other)), 1),
            }
            if read {
                let (slice, head) = member.scope.slice(&position, 1, |_| true);
                for one in slice.delta.changed { have.insert(one.key, one.version); }
                for key in slice.delta.removed { have.remove(&key); }
                if let Some(next) = slice.next {
                    position = next;
                    continue;
                }
                bench.answer(&member, head, 1);
                position = Position::after(head);
                let all: BTreeMap<_, _> = member.scope.versions().into_iter().collect();
                proptest::prop_assert_eq!(&have, &all);
            }
        }
    }
}

/// A pod of this namespace with one label of its own, so that nothing else is told the same.
fn workload(namespace: &str, name: &str, account: &str) -> ObjectEvent {
    let labels = BTreeMap::from([("version".to_owned(), name.to_owned())]);
    let meta = Meta { name: name.to_owned(), namespace: namespace.to_owned(), labels, ..Meta::default() };
    let body = Body::Pod(Pod { service_account: Some(account.to_owned()), ..Pod::default() });
    ObjectEvent::Applied { object: Arc::new(Object { meta, body }), revision: revision(0, Instant::now()) }
}

impl Bench {
    fn try_join(&mut self, namespace: &str, pod: &str, account: &str) -> Result<Arc<Member>, JoinError> {
        self.batch(vec![workload(namespace, pod, account)], true);
        let info = ProxyInfo {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            service_account: account.to_owned(),
            ..info(pod)
        };
        self.state.join(info, self.now, SystemTime::UNIX_EPOCH)
    }
}

/// A pod that changes its labels and comes back, again and again, holds no more than its share of translations, and what
/// others are served by stays.
#[test]
fn a_workload_that_is_always_another_one_is_not_translated_for_without_end() {
    let mut bench = Bench::bounded(ControllerLimits {
        scopes: 8,
        scopes_per_namespace: 6,
        scopes_per_account: 4,
        idle_scopes_per_account: 2,
        new_scopes_per_minute: 1_000,
        ..ControllerLimits::default()
    });
    let neighbour = bench.try_join("shop", "edge", "edge").unwrap();
    let mut last: Option<Arc<Member>> = None;
    for round in 0..40 {
        bench.now += Duration::from_secs(1);
        if let Some(member) = last.take() {
            bench.state.leave(&member);
        }
        last = Some(bench.try_join("evil", &format!("w{round}"), "w").unwrap());
    }
    assert_eq!(bench.state.scopes.len(), 4, "one in use, two kept, and the neighbour's");
    // Connected at the same time, there is an end.
    let kept: Vec<_> = (0..9).map(|round| bench.try_join("evil", &format!("k{round}"), "w")).collect();
    let refused = kept.iter().filter_map(|joined| joined.as_ref().err()).collect::<Vec<_>>();
    assert_eq!(refused.len(), 6);
    assert!(matches!(refused[0], JoinError::TooManyWorkloads { limit: 4, .. }), "{refused:?}");
    // Of another account of the namespace there are two more, and then of another namespace one.
    let others: Vec<_> = (0..4).map(|round| bench.try_join("evil", &format!("x{round}"), "x")).collect();
    assert_eq!(others.iter().filter(|joined| joined.is_ok()).count(), 2);
    assert!(bench.try_join("more", "a", "a").is_ok());
    let refused = bench.try_join("more", "b", "b").unwrap_err();
    assert!(refused.to_string().contains("limit scopes)"), "{refused}");
    // The one that was there before is there still, and its like comes in.
    assert!(!neighbour.end.is_cancelled());
    let again = bench.try_join("shop", "edge", "edge").unwrap();
    assert!(Arc::ptr_eq(&again.scope, &neighbour.scope));
}

#[test]
fn new_workloads_of_an_account_have_a_pace() {
    let mut bench = Bench::bounded(ControllerLimits {
        new_scopes_per_minute: 5,
        scopes_per_account: 5,
        ..ControllerLimits::default()
    });
    let come_and_go = |bench: &mut Bench, round: usize| {
        let joined = bench.try_join("evil", &format!("w{round}"), "w");
        joined.map(|member| bench.state.leave(&member)).is_ok()
    };
    assert_eq!((0..20).filter(|round| come_and_go(&mut bench, *round)).count(), 5);
    bench.now += Duration::from_secs(12);
    assert!(come_and_go(&mut bench, 20));
}
