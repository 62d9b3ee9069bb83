//! Reads and runs `tables/*.txt`. A table is a paragraph: rules with their numbers, then requests with the winner.
//!
//! Each table runs alone, where the rules are few enough to be tried in turn, and among decoys, where the index has to
//! find them.

use std::sync::Arc;

use router::{Hosts, Matcher, RegexCache, Router};

use crate::request::{Request, unescape};

#[test]
fn paths() {
    check(include_str!("tables/paths.txt"));
}

#[test]
fn regexes() {
    check(include_str!("tables/regexes.txt"));
}

#[test]
fn headers() {
    check(include_str!("tables/headers.txt"));
}

#[test]
fn without_headers() {
    check(include_str!("tables/without_headers.txt"));
}

#[test]
fn pseudo_headers() {
    check(include_str!("tables/pseudo_headers.txt"));
}

#[test]
fn query_parameters() {
    check(include_str!("tables/query_parameters.txt"));
}

#[test]
fn order() {
    check(include_str!("tables/order.txt"));
}

#[test]
fn hosts() {
    let mut wrong = Vec::new();
    for (title, lines) in paragraphs(include_str!("tables/hosts.txt")) {
        let (hosts, rows) = lines.split_first().expect("a line of hosts");
        let hosts: Hosts<&str> = hosts.split_whitespace().map(|host| (ir::Host::from(host), host)).collect();
        assert!(!rows.is_empty(), "{title}: no rows");
        for (authority, expected) in rows.iter().map(|row| row.rsplit_once("->").expect("authority -> host")) {
            let found = hosts.find(&unescape(authority.trim().trim_matches('"'))).copied().unwrap_or("none");
            if found != expected.trim() {
                wrong.push(format!("{title}: {authority}: expected {expected}, found {found}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Rules that match none of the tables' requests, of every kind the index knows.
const DECOYS: &str = "
    path exact /decoy
    path exact /Decoy/fold nocase
    path prefix /decoy/
    path prefix /decOY nocase
    path regex /decoy/[a-z]+
    path regex (?i)/decoy[0-9]+|/decoy/.*/(end|last)
    path regex .*/[0-9]decoy
    header x-user exact decoy
    header x-user prefix decoy
    header x-user regex decoy[0-9]*
    header x-user regex .?[0-9]decoy
    header :method exact DECOY
    header :authority exact decoy.test
    header :path prefix /decoy
    header x-decoy present
    query v exact decoy
    query v regex decoy.?
    path prefix / & header x-user exact decoys
    path prefix / & query v exact decoys
";

fn check(text: &str) {
    let mut wrong = Vec::new();
    let mut cache = RegexCache::default();
    let decoys: Vec<_> =
        DECOYS.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| rule(line, &mut cache)).collect();
    for (title, lines) in paragraphs(text) {
        let (rows, rules): (Vec<&str>, Vec<&str>) = lines.into_iter().partition(|line| line.contains(" -> "));
        assert!(!rows.is_empty(), "{title}: no rows");
        let rules: Vec<_> = rules.into_iter().enumerate().map(|(at, line)| numbered(at, line, &mut cache)).collect();
        let alone: Router<Option<usize>> = Router::new(rules.iter().cloned().zip((0..).map(Some)));
        let crowded = Router::new(rules.iter().enumerate().flat_map(|(at, rule)| {
            decoys.iter().map(|decoy| (Arc::clone(decoy), None)).chain([(Arc::clone(rule), Some(at))])
        }));
        for (text, expected) in rows.iter().map(|row| row.rsplit_once(" -> ").expect("request -> winner")) {
            let request = Request::parse(text);
            let expected = match expected.trim() {
                "none" => None,
                number => Some(number.parse::<usize>().expect("a rule's number, or none")),
            };
            for (router, how) in [(&alone, "alone"), (&crowded, "among decoys")] {
                let found = router.find(&request).copied().flatten();
                if found != expected {
                    let why = expected.and_then(|at| rules[at].first_failure(&request));
                    let why = why.map(|failure| format!(" ({failure})")).unwrap_or_default();
                    wrong.push(format!("{title}, {how}: {request}: expected {expected:?}, found {found:?}{why}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Titles (the comment that starts a paragraph) and lines.
fn paragraphs(text: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()).map(|paragraph| {
        let (comments, lines): (Vec<&str>, Vec<&str>) =
            paragraph.lines().filter(|line| !line.trim().is_empty()).partition(|line| line.starts_with('#'));
        (comments.first().map_or("untitled", |title| title.trim_start_matches(['#', ' '])), lines)
    })
}

fn numbered(at: usize, line: &str, cache: &mut RegexCache) -> Arc<Matcher> {
    let (number, conditions) = line.split_once(':').expect("number: conditions");
    assert_eq!(number.trim().parse(), Ok(at), "rules are numbered in order: {line}");
    rule(conditions.trim(), cache)
}

fn rule(conditions: &str, cache: &mut RegexCache) -> Arc<Matcher> {
    let mut matches = ir::RouteMatch::default();
    for condition in conditions.split(" & ").map(str::trim).filter(|condition| *condition != "anything") {
        let (kind, rest) = condition.split_once(' ').expect("a condition");
        match kind {
            "path" => matches.path = Some(path(rest)),
            "header" | "without" => {
                let (name, condition) = named(rest);
                matches.headers.push(ir::HeaderMatch { name, condition, invert: kind == "without" });
            }
            "query" => {
                let (name, condition) = named(rest);
                matches.query.push(ir::QueryMatch { name, condition });
            }
            other => panic!("unknown condition {other}"),
        }
    }
    Arc::new(Matcher::compile_with(&matches, cache).unwrap_or_else(|error| panic!("{conditions}: {error:?}")))
}

fn path(text: &str) -> ir::PathMatch {
    let (kind, value) = text.split_once(' ').expect("kind and value");
    let (value, ignore_case) = match value.strip_suffix(" nocase") {
        Some(value) => (value, true),
        None => (value, false),
    };
    let value = unquote(value);
    match kind {
        "exact" => ir::PathMatch::Exact { value, ignore_case },
        "prefix" => ir::PathMatch::Prefix { value, ignore_case },
        "regex" => ir::PathMatch::Regex { pattern: value },
        other => panic!("unknown kind {other}"),
    }
}

fn named(text: &str) -> (String, ir::ValueMatch) {
    let (name, condition) = text.split_once(' ').expect("name and condition");
    let condition = match condition.split_once(' ') {
        None => ir::ValueMatch::Present,
        Some(("exact", value)) => ir::ValueMatch::Value(ir::StringMatch::Exact(unquote(value))),
        Some(("prefix", value)) => ir::ValueMatch::Value(ir::StringMatch::Prefix(unquote(value))),
        Some(("regex", value)) => ir::ValueMatch::Value(ir::StringMatch::Regex(unquote(value))),
        Some((other, _)) => panic!("unknown kind {other}"),
    };
    (name.to_owned(), condition)
}

fn unquote(text: &str) -> String {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).to_owned()
}
