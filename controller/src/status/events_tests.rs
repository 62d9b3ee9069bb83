//! What is told, and what is not told again.

use crds::ObjectKind;
use translate::Problem;

use super::*;
use crate::status::conditions;
use crate::status::conditions::tests::{object, report};

fn wrong() -> ObjectStatus {
    let own = vec![report("spec.http[0].route", Problem::NoWeight)];
    ObjectStatus { own, held: true, ..object(ObjectKind::VirtualService) }
}

fn notes(facts: &[Fact]) -> Vec<String> {
    facts.iter().map(|fact| format!("{} {}", fact.reason, fact.note)).collect()
}

#[test]
fn changes_only() {
    let mut told = Told::default();
    let well = object(ObjectKind::VirtualService);
    assert_eq!(told.news(&well, None), []);
    let first = told.news(&wrong(), None);
    assert_eq!(
        notes(&first),
        [
            "NoWeight spec.http[0].route: all destinations have weight 0; at least one needs a positive weight; this version is not in force"
        ]
    );
    assert!(first[0].warning);
    assert_eq!(told.news(&wrong(), None), []);
    assert_eq!(notes(&told.news(&well, None)), ["Accepted nothing is wrong with it any more"]);
    assert_eq!(told.news(&well, None), []);
    assert_eq!(told.news(&wrong(), None).len(), 1, "it has come again");
}

#[test]
fn the_next_leader_does_not_tell_it_again() {
    let status = Value::Object(conditions::desired(&wrong(), None, Timestamp::now()).fields);
    let mut told = Told::default();
    assert_eq!(told.news(&wrong(), Some(&status)), []);
    assert_eq!(notes(&told.news(&object(ObjectKind::VirtualService), Some(&status))).len(), 1);
}

#[test]
fn what_is_missing_lost_or_rejected_is_told_and_lesser_things_are_not() {
    let mut status = object(ObjectKind::Gateway);
    status.among = vec![
        report("spec.servers[0].tls", Problem::UnknownSecret { secret: "cert".to_owned() }),
        report("spec.servers[1]", Problem::ServerLeftOut { why: "taken by", other: "a/b".to_owned() }),
        report("spec.servers[2]", Problem::NoTcpRoute),
    ];
    status.proxies.rejected = vec![("edge/gw".to_owned(), "Listener 8080: port taken".to_owned())];
    let reasons: Vec<&str> = facts(&status).iter().map(|fact| fact.reason).collect();
    assert_eq!(reasons, ["UnknownSecret", "ServerLeftOut", "Rejected"]);
}

#[test]
fn names_fit_and_are_the_same_for_the_same_fact() {
    let name = |name: &str, note: &str| {
        let regarding = ObjectReference { name: Some(name.to_owned()), ..ObjectReference::default() };
        event_name(&regarding, &Fact { warning: true, reason: "x", note: note.to_owned() })
    };
    assert_eq!(name("web", "a"), name("web", "a"));
    assert_ne!(name("web", "a"), name("web", "b"));
    assert!(name(&"a".repeat(253), "a").len() <= 253);
    assert!(clip(&"é".repeat(2_000)).len() <= 1_024);
}
