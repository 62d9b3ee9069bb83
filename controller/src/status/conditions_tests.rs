//! What is known of an object in, what stands in its status out.

use std::sync::Arc;
use std::time::Instant;

use crds::ObjectKey;
use translate::Problem;

use super::*;
use crate::fleet::Latency;
use crate::source::kube::Revision;

pub(in crate::status) fn object(kind: ObjectKind) -> ObjectStatus {
    ObjectStatus {
        key: ObjectKey::new(kind, "shop", "web"),
        revision: Arc::new(Revision {
            uid: "u-1".to_owned(),
            generation: 3,
            resource_version: "10".to_owned(),
            api_version: "networking.istio.io/v1".to_owned(),
            noticed: Instant::now(),
            status: None,
        }),
        unreadable: Vec::new(),
        own: Vec::new(),
        among: Vec::new(),
        held: false,
        failed: false,
        proxies: Proxies { total: 2, current: 2, rejected: Vec::new() },
        latency: None,
        waits: Vec::new(),
    }
}

pub(in crate::status) fn report(field: &str, problem: Problem) -> Report {
    let object = ObjectKey::new(ObjectKind::VirtualService, "shop", "web");
    Report { object, field: field.to_owned(), problem }
}

fn virtual_service() -> ObjectStatus {
    object(ObjectKind::VirtualService)
}

fn proxies(total: usize, current: usize) -> Proxies {
    Proxies { total, current, rejected: Vec::new() }
}

/// `type=status reason: message`, one line each.
fn told(object: &ObjectStatus) -> Vec<String> {
    let line = |one: &Condition| format!("{}={} {}: {}", one.kind, one.status, one.reason, one.message);
    conditions(object).iter().map(line).collect()
}

fn no_weight() -> Report {
    report("spec.http[0].route", Problem::NoWeight)
}

fn unknown_host() -> Report {
    report("spec.http[0].route[0].destination.host", Problem::UnknownHost { host: "a.test".to_owned() })
}

#[test]
fn all_is_well() {
    assert_eq!(
        told(&virtual_service()),
        [
            "Accepted=True Accepted: the object is valid",
            "ResolvedRefs=True ResolvedRefs: everything the object names is there",
            "Programmed=True Programmed: all 2 proxies it concerns have this version in force",
            "Reconciled=True Reconciled: 2/2 proxies up to date.",
        ]
    );
}

#[test]
fn an_object_that_is_wrong() {
    let own = vec![report("spec.hosts", Problem::Deprecated { what: "x", instead: "use y" }), no_weight(), no_weight()];
    let status = ObjectStatus { own, among: vec![unknown_host()], held: true, ..virtual_service() };
    assert_eq!(
        told(&status),
        [
            "Accepted=False NoWeight: spec.http[0].route: all destinations have weight 0; at least one needs a positive weight (and 1 more error)",
            "ResolvedRefs=Unknown NotAccepted: the object is not accepted; what it names was not looked up",
            "Programmed=False NotAccepted: the object is not accepted; the last good version stays in force at 2 proxies",
            "Reconciled=False Reconciling: 2/2 proxies up to date.",
        ]
    );
    let nowhere = ObjectStatus { proxies: proxies(0, 0), ..status };
    assert!(told(&nowhere)[2].ends_with("no connected gateway has an earlier version"), "{:?}", told(&nowhere));
}

#[test]
fn an_object_that_cannot_be_read_or_translated() {
    let unreadable = vec!["spec.hosts: expected a list, found the text \"a\"".to_owned()];
    let status = ObjectStatus { unreadable, held: true, ..virtual_service() };
    assert_eq!(told(&status)[0], "Accepted=False Invalid: spec.hosts: expected a list, found the text \"a\"");
    let failed = ObjectStatus { failed: true, ..virtual_service() };
    assert!(told(&failed)[0].starts_with("Accepted=False InternalError: "), "{:?}", told(&failed));
}

#[test]
fn what_is_missing_and_what_is_only_a_warning() {
    let taken = Problem::SubsetTaken { subset: "v1".to_owned(), older: "shop/old".to_owned() };
    let among = vec![unknown_host(), report("spec.subsets[0]", taken)];
    let status = ObjectStatus { among, ..virtual_service() };
    assert_eq!(
        told(&status)[..2],
        [
            "Accepted=True Accepted: the object is valid, with a warning: spec.subsets[0]: subset \"v1\" is already defined by shop/old, which is older",
            "ResolvedRefs=False UnknownHost: spec.http[0].route[0].destination.host: host \"a.test\" is no service this gateway can see; requests get 503",
        ]
    );
}

#[test]
fn how_far_it_has_got() {
    let programmed = |proxies: Proxies| told(&ObjectStatus { proxies, ..virtual_service() })[2].clone();
    assert_eq!(programmed(proxies(3, 2)), "Programmed=False Pending: 2 of 3 proxies have this version in force");
    assert_eq!(
        programmed(proxies(0, 0)),
        "Programmed=False NoProxy: no connected gateway is concerned: none serves a Gateway that it is bound to"
    );
    assert_eq!(
        programmed(proxies(1, 1)),
        "Programmed=True Programmed: the proxy it concerns has this version in force"
    );
    let refused = |name: &str| (format!("edge/{name}"), "RouteGroup shop/web: too long".to_owned());
    let rejected = vec![refused("gw-1"), refused("gw-2")];
    assert_eq!(
        programmed(Proxies { total: 2, current: 0, rejected }),
        "Programmed=False Rejected: proxy edge/gw-1 rejected RouteGroup shop/web: too long; 1 more proxy rejected something, too"
    );
    let policy = ObjectStatus { proxies: proxies(0, 0), ..object(ObjectKind::AuthorizationPolicy) };
    if translate::unused(ObjectKind::AuthorizationPolicy).is_some() {
        assert!(told(&policy)[2].starts_with("Programmed=False NotSupportedYet: AuthorizationPolicy is not"));
    }
}

#[test]
fn the_whole_status() {
    let millis = |tenths: u64| Duration::from_micros(tenths * 100);
    let latency = Some(Latency { p50: millis(14), p99: Duration::from_millis(20) });
    let status = ObjectStatus { among: vec![unknown_host(), unknown_host()], latency, ..virtual_service() };
    let now: Timestamp = "2026-11-25T10:00:00.5Z".parse().unwrap();
    let fields = Value::Object(desired(&status, None, now).fields);
    assert_eq!(
        fields["conditions"][2],
        json!({"type": "Programmed", "status": "True", "reason": "Programmed", "observedGeneration": 3,
            "message": "all 2 proxies it concerns have this version in force",
            "lastTransitionTime": "2026-11-25T10:00:00Z"})
    );
    assert_eq!(
        fields["validationMessages"],
        json!([{"type": {"code": "IST0101", "name": "ReferencedResourceNotFound"}, "level": "ERROR",
            "documentationUrl": "https://istio.io/latest/docs/reference/config/analysis/ist0101/"}])
    );
    assert_eq!(fields["observedGeneration"], 3);
    assert_eq!(
        fields["propagation"],
        json!({"proxies": {"total": 2, "current": 2, "rejected": 0}, "p50Ms": 1.4, "p99Ms": 20})
    );
}

#[test]
fn other_writers_and_times_are_kept() {
    let now: Timestamp = "2026-11-25T10:00:00Z".parse().unwrap();
    let later: Timestamp = "2026-11-25T11:00:00Z".parse().unwrap();
    let first = Value::Object(desired(&virtual_service(), None, now).fields);
    let mut stored = first.clone();
    let foreign = json!({"type": "Ready", "status": "True", "reason": "Theirs"});
    stored["conditions"].as_array_mut().unwrap().insert(1, foreign.clone());
    stored["conditions"][0]["lastProbeTime"] = json!("2026-11-25T09:00:00Z");
    let pending = ObjectStatus { proxies: proxies(2, 1), ..virtual_service() };
    let next = Value::Object(desired(&pending, Some(&stored), later).fields);
    let conditions = next["conditions"].as_array().unwrap();
    assert_eq!(conditions.len(), 5);
    assert_eq!(conditions[1], foreign);
    assert_eq!(conditions[0]["lastProbeTime"], "2026-11-25T09:00:00Z");
    let since = |kind: &str| {
        let found = conditions.iter().find(|one| one["type"] == kind);
        found.and_then(|one| one["lastTransitionTime"].as_str()).unwrap_or_default().to_owned()
    };
    assert_eq!(since("Accepted"), "2026-11-25T10:00:00Z", "it was accepted before");
    assert_eq!(since("Programmed"), "2026-11-25T11:00:00Z");
    // Nothing has happened: nothing is different, whatever the time.
    assert_eq!(Value::Object(desired(&virtual_service(), Some(&first), later).fields), first);
    assert_eq!(desired(&virtual_service(), None, now).digest, desired(&virtual_service(), Some(&first), later).digest);
    assert_ne!(desired(&pending, None, now).digest, desired(&virtual_service(), None, now).digest);
}

#[test]
fn messages_are_bounded_and_counts_are_not_cut_off() {
    let long = || report("spec", Problem::UnusableSecret { why: "é".repeat(3_000) });
    let status = ObjectStatus { own: vec![long(), long()], held: true, ..virtual_service() };
    let accepted = &conditions(&status)[0].message;
    assert!(accepted.chars().count() <= MESSAGE_CHARS && accepted.ends_with("(and 1 more error)"), "{accepted}");
    let missing = (0..100).map(|_| unknown_host()).collect();
    let status = ObjectStatus { among: missing, ..virtual_service() };
    assert_eq!(conditions(&status)[1].message.chars().count(), MESSAGE_CHARS);
}
