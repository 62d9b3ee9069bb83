//! The index never changes the answer: random rules and requests from a small alphabet, so that they meet.

use std::sync::Arc;

use ir::{HeaderMatch, Host, PathMatch, QueryMatch, RouteMatch, StringMatch, ValueMatch};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use router::{FullRegex, Hosts, Matcher, RegexCache, Router, host_of, search_regex};

use crate::request::Request;

/// Paths, and prefixes of paths, that have much in common.
const PATHS: [&str; 16] = [
    "/", "/a", "/A", "/a/", "/a/b", "/a/B", "/a/b/c", "/ab", "/b", "/b/a", "/a/b/c/d", "/a/c", "/aa", "/aaa", "/b/1",
    "/a\u{e4}",
];
const PATH_PATTERNS: [&str; 16] = [
    "/a.*",
    "/a/.*",
    "/a/b",
    "/[ab]",
    ".*/b",
    "/a/[a-z]/c",
    "(?i)/a/.*",
    "/a|/b/.*",
    ".*",
    ".+",
    "/.*/.*",
    "/a+",
    "/a.?/c",
    r"/b/\d",
    "(/a/)+.*c",
    ".{2}",
];
const VALUES: [&str; 8] = ["", "a", "A", "ab", "abc", "b", "a,b", "1"];
const VALUE_PATTERNS: [&str; 10] = ["a.*", "a+", "[ab]", ".*", ".*b", "a|b", r"\d?", "(?i)A", "[^a]*", "ab.?"];
const HEADERS: [&str; 3] = ["x-a", "x-b", "x-c"];
const QUERIES: [&str; 2] = ["k", "l"];

fn path() -> impl Strategy<Value = PathMatch> {
    let value = || (select(&PATHS[..]), any::<bool>());
    prop_oneof![
        3 => value().prop_map(|(value, ignore_case)| PathMatch::Exact { value: value.to_owned(), ignore_case }),
        3 => value().prop_map(|(value, ignore_case)| PathMatch::Prefix { value: value.to_owned(), ignore_case }),
        1 => any::<bool>().prop_map(|ignore_case| PathMatch::Prefix { value: String::new(), ignore_case }),
        3 => select(&PATH_PATTERNS[..]).prop_map(|pattern| PathMatch::Regex { pattern: pattern.to_owned() }),
    ]
}

fn value(values: &'static [&'static str], patterns: &'static [&'static str]) -> impl Strategy<Value = ValueMatch> {
    let value = move || select(values).prop_map(str::to_owned);
    prop_oneof![
        1 => Just(ValueMatch::Present),
        4 => value().prop_map(|value| ValueMatch::Value(StringMatch::Exact(value))),
        2 => value().prop_map(|value| ValueMatch::Value(StringMatch::Prefix(value))),
        2 => select(patterns).prop_map(|pattern| ValueMatch::Value(StringMatch::Regex(pattern.to_owned()))),
    ]
}

fn header() -> impl Strategy<Value = HeaderMatch> {
    let invert = || prop::bool::weighted(0.25);
    let make = |(name, condition, invert): (&str, _, _)| HeaderMatch { name: name.to_owned(), condition, invert };
    prop_oneof![
        4 => (select(&HEADERS[..]), value(&VALUES, &VALUE_PATTERNS), invert()).prop_map(make),
        1 => (Just(":method"), value(&["GET", "POST", "P"], &["GET|PUT", "P.*"]), invert()).prop_map(make),
        1 => (Just(":authority"), value(&["a.test", "A.test", "a"], &[r".*\.test"]), invert()).prop_map(make),
        1 => (Just(":path"), value(&["/a", "/a?k=a", "/a?"], &[r".*\?.*"]), invert()).prop_map(make),
        1 => (Just(":scheme"), value(&["http", "https"], &["https?"]), invert()).prop_map(make),
    ]
}

fn query() -> impl Strategy<Value = QueryMatch> {
    (select(&QUERIES[..]), value(&VALUES, &VALUE_PATTERNS))
        .prop_map(|(name, condition)| QueryMatch { name: name.to_owned(), condition })
}

fn rule() -> impl Strategy<Value = RouteMatch> {
    // Mostly one or two conditions: rules with many match nothing.
    let few = |most: usize| prop_oneof![3 => Just(0), 1 => 0..=most];
    (option::weighted(0.7, path()), few(2), few(2))
        .prop_flat_map(|(path, headers, queries)| (Just(path), vec(header(), headers), vec(query(), queries)))
        .prop_map(|(path, headers, query)| RouteMatch { path, headers, query })
}

/// Rules with blocks of the same kind, so that nodes get crowded and split again.
fn rules() -> impl Strategy<Value = Vec<RouteMatch>> {
    let block = prop_oneof![
        vec(rule(), 0..40),
        (path(), vec(rule(), 0..40)).prop_map(|(path, rules)| {
            rules.into_iter().map(|rule| RouteMatch { path: Some(path.clone()), ..rule }).collect()
        }),
        (header(), vec(rule(), 0..40)).prop_map(|(header, mut rules): (_, Vec<RouteMatch>)| {
            rules.iter_mut().for_each(|rule| rule.headers.insert(0, header.clone()));
            rules
        }),
        // Patterns that share neither start nor end, for screens, or no start, for tries from the end.
        vec((select(&PATH_PATTERNS[..]), select(&["(x|y)?", "/ab", "c/d"][..])), 0..120).prop_map(|patterns| {
            let path = |start, end| Some(PathMatch::Regex { pattern: format!("({start}){end}") });
            patterns.into_iter().map(|(a, b)| RouteMatch { path: path(a, b), ..RouteMatch::default() }).collect()
        }),
        vec((select(&VALUE_PATTERNS[..]), 0..10), 0..120).prop_map(|patterns| {
            let pattern = |start, end| ValueMatch::Value(StringMatch::Regex(format!("({start}){end}?")));
            let header = |(a, b)| HeaderMatch { name: "x-a".to_owned(), condition: pattern(a, b), invert: false };
            patterns
                .into_iter()
                .map(|parts| RouteMatch { headers: vec![header(parts)], ..RouteMatch::default() })
                .collect()
        }),
    ];
    vec(block, 1..4).prop_map(|blocks: Vec<Vec<RouteMatch>>| blocks.concat())
}

fn bytes(values: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        9 => select(values).prop_map(|value| value.as_bytes().to_vec()),
        1 => vec(select(&b"abA/1,\xc3\xa4"[..]), 0..4),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let path =
        (select(&PATHS[..]), prop_oneof![3 => Just(&b""[..]), 1 => select(vec![&b"c"[..], b"/", b"B", b"x", b"\xff"])]);
    let parameter = (select(&QUERIES[..]), option::of(bytes(&VALUES)));
    let header = (select(&HEADERS[..]).prop_map(str::to_owned), bytes(&VALUES));
    (
        select(&["GET", "POST", "PUT"][..]),
        select(&["http", "https"][..]),
        select(&["a.test", "A.test", "b.test:80"][..]),
        (path, vec(parameter, 0..3)),
        vec(header, 0..4),
    )
        .prop_map(|(method, scheme, authority, ((path, more), parameters), headers)| {
            let mut target = [path.as_bytes(), more].concat();
            for (at, (name, value)) in parameters.into_iter().enumerate() {
                target.push(if at == 0 { b'?' } else { b'&' });
                target.extend_from_slice(name.as_bytes());
                if let Some(value) = value {
                    target.push(b'=');
                    target.extend(value);
                }
            }
            Request { method: method.into(), scheme: scheme.into(), authority: authority.into(), target, headers }
        })
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![Just("*".to_owned()), "\\*?(\\.?[ab]){1,5}", "(\\*\\.)?[ab](\\.[ab]){0,3}",]
}

/// What `Hosts` must find, said as slowly and plainly as possible (docs/semantics.md §1.2).
fn naive<'a>(hosts: &'a [(String, usize)], authority: &str) -> Option<&'a str> {
    let name = authority.to_ascii_lowercase();
    let name = name.rsplit_once(':').map_or(name.as_str(), |(name, _)| name);
    let fits = |host: &&str| match host.strip_prefix('*') {
        None => *host == name,
        Some("") => true,
        Some(tail) => name.len() > tail.len() && name.ends_with(tail),
    };
    let rank = |host: &&str| (!host.starts_with('*'), host.len());
    hosts.iter().map(|(host, _)| host.as_str()).filter(fits).max_by_key(rank)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn the_index_finds_what_a_scan_finds(rules in rules(), requests in vec(request(), 1..12)) {
        let mut cache = RegexCache::default();
        let matchers: Vec<_> =
            rules.iter().map(|rule| Arc::new(Matcher::compile_with(rule, &mut cache).unwrap())).collect();
        let router = Router::new(matchers.iter().cloned().zip(0..));
        for request in &requests {
            let scanned = matchers.iter().position(|matcher| matcher.matches(request));
            prop_assert_eq!(router.find_index(request), scanned, "{}", request);
            prop_assert_eq!(router.find(request).copied(), scanned, "{}", request);
        }
    }

    #[test]
    fn a_rule_fails_exactly_if_it_does_not_match(rule in rule(), request in request()) {
        let matcher = Matcher::compile(&rule).unwrap();
        prop_assert_eq!(matcher.first_failure(&request).is_none(), matcher.matches(&request));
    }

    #[test]
    fn hosts_find_what_a_scan_finds(
        hosts in vec(host(), 0..30),
        removed in vec(any::<prop::sample::Index>(), 0..5),
        names in vec(("(\\.?[abAB]){0,6}", "(:|:80)?"), 1..20),
    ) {
        let mut list: Vec<(String, usize)> = Vec::new();
        let mut found = Hosts::default();
        for (at, host) in hosts.into_iter().enumerate() {
            let before = list.iter().position(|(other, _)| *other == host).map(|at| list.remove(at).1);
            prop_assert_eq!(found.insert(Host::from(host.as_str()), at), before);
            list.push((host, at));
        }
        for index in removed {
            if !list.is_empty() {
                let (host, at) = list.swap_remove(index.index(list.len()));
                prop_assert_eq!(found.remove(&Host::from(host.as_str())), Some(at));
                prop_assert_eq!(found.get(&Host::from(host.as_str())), None);
            }
        }
        prop_assert_eq!(found.len(), list.len());
        for (name, port) in names {
            let authority = format!("{name}{port}");
            let expected = naive(&list, &authority);
            let value = expected.and_then(|host| list.iter().find(|(other, _)| other == host)).map(|(_, at)| at);
            prop_assert_eq!(found.find(authority.as_bytes()), value, "{}", authority);
            prop_assert_eq!(host_of(authority.as_bytes()).into_owned(), name.to_ascii_lowercase().into_bytes());
        }
    }

    #[test]
    fn bytes_from_the_network_never_panic(pattern in select(&PATH_PATTERNS[..]), text in vec(any::<u8>(), 0..300)) {
        let regex = FullRegex::compile(pattern).unwrap();
        let whole = search_regex(&format!(r"\A(?:{pattern})\z")).unwrap();
        prop_assert_eq!(regex.is_match(&text), whole.is_match(&text));
        let hosts: Hosts<()> = ["*", "*.a", "a"].into_iter().map(|host| (Host::from(host), ())).collect();
        prop_assert!(hosts.find(&text).is_some());
        let host = host_of(&text).into_owned();
        prop_assert_eq!(host_of(&host).into_owned(), host);
    }

    #[test]
    fn a_host_is_read_once(text in "[aA._:@0-9\\[\\]/ %,-]{0,12}") {
        let host = host_of(text.as_bytes()).into_owned();
        prop_assert_eq!(host_of(&host).into_owned(), host.clone());
        let hosts: Hosts<()> = ["a", "*.a", "*:a"].into_iter().map(|host| (Host::from(host), ())).collect();
        prop_assert_eq!(hosts.find(&host), hosts.find(text.as_bytes()));
        // Nothing that a host ends with in a URL is in the host of an authority.
        if let Some(parts) = ir::text::split(text.as_bytes()) {
            let is_plain = parts.host.starts_with(b"[") || !parts.host.iter().any(|byte| b"/@: %,".contains(byte));
            prop_assert!(is_plain, "{}", text);
        }
    }
}

#[test]
fn failures_say_what_was_expected_and_found() {
    let header = |condition, invert| RouteMatch {
        headers: vec![HeaderMatch { name: "x-a".to_owned(), condition, invert }],
        ..RouteMatch::default()
    };
    let exact = |text: &str| ValueMatch::Value(StringMatch::Exact(text.to_owned()));
    let path = |path| RouteMatch { path: Some(path), ..RouteMatch::default() };
    let query = QueryMatch { name: "k".to_owned(), condition: exact("1") };
    #[rustfmt::skip]
    let cases = [
        (header(exact("v"), false),            "GET /",                   r#"header x-a: expected exact "v", it is absent"#),
        (header(exact("v"), false),            "GET / | x-a: 1 | x-a: 2", r#"header x-a: expected exact "v", found "1", "2""#),
        (header(exact("v"), true),             "GET / | x-a: v",          r#"header x-a: expected anything but exact "v", found "v""#),
        (header(ValueMatch::Present, false),   "GET /",                   "header x-a: expected to be present, it is absent"),
        (header(ValueMatch::Present, true),    "GET / | x-a: v",          r#"header x-a: expected to be absent, found "v""#),
        (path(PathMatch::Prefix { value: "/Api".to_owned(), ignore_case: true }), "GET /?q", r#"path: expected prefix "/api" in any case, found "/""#),
        (path(PathMatch::Regex { pattern: "/a+".to_owned() }), "GET /b", r#"path: expected regex "/a+", found "/b""#),
        (RouteMatch { query: vec![query], ..RouteMatch::default() }, "GET /?k=2", r#"query parameter k: expected exact "1", found "2""#),
    ];
    for (rule, request, expected) in cases {
        let failure = Matcher::compile(&rule).unwrap().first_failure(&Request::parse(request));
        assert_eq!(failure.map(|failure| failure.to_string()).as_deref(), Some(expected));
    }
}

#[test]
fn a_bad_pattern_names_its_field() {
    let regex = |pattern: &str| ValueMatch::Value(StringMatch::Regex(pattern.to_owned()));
    let rule = RouteMatch {
        headers: vec![HeaderMatch { name: "x-a".to_owned(), condition: regex("a("), invert: false }],
        ..RouteMatch::default()
    };
    let error = Matcher::compile(&rule).unwrap_err();
    assert_eq!(error.to_string(), "condition on header x-a");
    assert_eq!(error.source.to_string(), r#"regex "a(": missing closing )"#);
}

#[test]
fn long_authorities_are_found_too() {
    let hosts: Hosts<()> = [(Host::from("*.test"), ())].into_iter().collect();
    let long = format!("{}.TEST", "x".repeat(1000));
    assert!(hosts.find(long.as_bytes()).is_some());
}
