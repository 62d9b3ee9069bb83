//! What finding a route and a virtual host costs, by the number of routes and hosts, and what building costs.
//!
//! `last` asks for the last rule again and again, `miss` for none; `spread` asks for a thousand different rules in turn,
//! so that the caches of the CPU are as cold as they are in life.

use std::sync::Arc;

use divan::{Bencher, black_box};
use ir::{HeaderMatch, Host, PathMatch, RouteMatch, StringMatch, ValueMatch};
use router::{Hosts, Matcher, RegexCache, RequestView, Router};

const SIZES: [usize; 4] = [1, 1_000, 10_000, 100_000];

fn main() {
    divan::main();
}

struct Request {
    path: String,
    user: String,
}

impl RequestView for Request {
    fn method(&self) -> &[u8] {
        b"GET"
    }

    fn scheme(&self) -> &[u8] {
        b"https"
    }

    fn authority(&self) -> &[u8] {
        b"shop.example.com"
    }

    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }

    fn path_and_query(&self) -> &[u8] {
        self.path.as_bytes()
    }

    fn query(&self) -> Option<&[u8]> {
        None
    }

    fn any_header(&self, name: &str, f: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        name == "x-user" && f(self.user.as_bytes())
    }
}

/// A kind of rule: rule number `at`, and a request that it is the only one to match.
#[derive(Clone, Copy)]
struct Family {
    rule: fn(usize) -> RouteMatch,
    request: fn(usize) -> Request,
}

const EXACT: Family = Family {
    rule: |at| path(PathMatch::Exact { value: format!("/api/v1/service-{at}/items"), ignore_case: false }),
    request: |at| Request { path: format!("/api/v1/service-{at}/items"), user: String::new() },
};

const PREFIX: Family = Family {
    rule: |at| path(PathMatch::Prefix { value: format!("/api/v1/service-{at}/"), ignore_case: false }),
    request: |at| Request { path: format!("/api/v1/service-{at}/items/17"), user: String::new() },
};

/// One prefix for all, and a value of a header field each.
const HEADER: Family = Family {
    rule: |at| RouteMatch {
        headers: vec![HeaderMatch {
            name: "x-user".to_owned(),
            condition: ValueMatch::Value(StringMatch::Exact(format!("user-{at}"))),
            invert: false,
        }],
        ..path(PathMatch::Prefix { value: "/api/".to_owned(), ignore_case: false })
    },
    request: |at| Request { path: "/api/v1/items".to_owned(), user: format!("user-{at}") },
};

/// Literal at the start, which tells them apart.
const REGEX_START: Family = Family {
    rule: |at| path(PathMatch::Regex { pattern: format!("/api/service-{at}/v[0-9]+/.*") }),
    request: |at| Request { path: format!("/api/service-{at}/v2/items/17"), user: String::new() },
};

/// Literal at the start, and a pattern that takes an engine.
const REGEX_ENGINE: Family = Family {
    rule: |at| path(PathMatch::Regex { pattern: format!("/api/service-{at}/(v[0-9]+/)+.*[0-9]") }),
    request: |at| Request { path: format!("/api/service-{at}/v2/items/17"), user: String::new() },
};

/// Literal at the end, which tells them apart.
const REGEX_END: Family = Family {
    rule: |at| path(PathMatch::Regex { pattern: format!("/api/[a-z]+/v[0-9]+/item-{at}") }),
    request: |at| Request { path: format!("/api/shop/v2/item-{at}"), user: String::new() },
};

/// Literal in the middle only: nothing to sort by, so these are tried, many at a time.
const REGEX_MIDDLE: Family = Family {
    rule: |at| path(PathMatch::Regex { pattern: format!("/[a-z]+/item-{at}/v[0-9]+") }),
    request: |at| Request { path: format!("/shop/item-{at}/v2"), user: String::new() },
};

fn path(path: PathMatch) -> RouteMatch {
    RouteMatch { path: Some(path), ..RouteMatch::default() }
}

fn matchers(family: Family, count: usize) -> Vec<Arc<Matcher>> {
    let mut cache = RegexCache::default();
    let matcher = |at| Arc::new(Matcher::compile_with(&(family.rule)(at), &mut cache).expect("a valid rule"));
    (0..count).map(matcher).collect()
}

fn router(family: Family, count: usize) -> Router<usize> {
    Router::new(matchers(family, count).into_iter().zip(0..))
}

fn find(bencher: Bencher<'_, '_>, family: Family, count: usize, wanted: usize) {
    let router = router(family, count);
    let request = (family.request)(wanted);
    assert_eq!(router.find(&request).copied(), (wanted < count).then_some(wanted));
    bencher.bench_local(|| router.find(black_box(&request)).copied());
}

fn find_spread(bencher: Bencher<'_, '_>, family: Family, count: usize) {
    let router = router(family, count);
    // A stride without common factors visits the rules in no order that a prefetcher could guess.
    let requests: Vec<Request> = (0..1_000).map(|at| (family.request)(at * 7_919 % count)).collect();
    // Regular expressions build their automata when first used.
    requests.iter().for_each(|request| assert!(router.find(request).is_some()));
    let mut next = requests.iter().cycle();
    bencher.bench_local(|| router.find(black_box(next.next()?)).copied());
}

macro_rules! family {
    ($name:ident, $family:expr, $sizes:expr) => {
        mod $name {
            use super::*;

            #[divan::bench(args = $sizes)]
            fn last(bencher: Bencher<'_, '_>, count: usize) {
                find(bencher, $family, count, count - 1);
            }

            #[divan::bench(args = $sizes)]
            fn miss(bencher: Bencher<'_, '_>, count: usize) {
                find(bencher, $family, count, count);
            }

            #[divan::bench(args = $sizes)]
            fn spread(bencher: Bencher<'_, '_>, count: usize) {
                find_spread(bencher, $family, count);
            }

            /// Matchers compiled from scratch.
            #[divan::bench(args = $sizes, sample_count = 3, sample_size = 1)]
            fn compile(bencher: Bencher<'_, '_>, count: usize) {
                bencher.bench_local(|| matchers($family, count));
            }

            /// The index over compiled matchers, which is what a change of one rule costs.
            #[divan::bench(args = $sizes, sample_count = 5, sample_size = 1)]
            fn index(bencher: Bencher<'_, '_>, count: usize) {
                let matchers = matchers($family, count);
                bencher.bench_local(|| Router::new(matchers.iter().cloned().zip(0..)));
            }
        }
    };
}

family!(exact, EXACT, SIZES);
family!(prefix, PREFIX, SIZES);
family!(header, HEADER, SIZES);
family!(regex_start, REGEX_START, SIZES);
family!(regex_engine, REGEX_ENGINE, SIZES);
family!(regex_end, REGEX_END, SIZES);
family!(regex_middle, REGEX_MIDDLE, [1, 100, 1_000, 10_000]);

mod hosts {
    use super::*;

    fn exact(count: usize) -> Hosts<Arc<usize>> {
        (0..count).map(|at| (Host::from(format!("shop-{at}.example.com")), Arc::new(at))).collect()
    }

    /// Wildcards with tails of thirty different lengths.
    fn wildcards(count: usize) -> Hosts<Arc<usize>> {
        let host = |at| Host::from(format!("*.shop-{at}.{}.com", "x".repeat(at % 30)));
        (0..count).map(|at| (host(at), Arc::new(at))).collect()
    }

    fn find(bencher: Bencher<'_, '_>, hosts: &Hosts<Arc<usize>>, authority: &str, found: bool) {
        assert_eq!(hosts.find(authority.as_bytes()).is_some(), found);
        bencher.bench_local(|| hosts.find(black_box(authority.as_bytes())));
    }

    #[divan::bench(args = SIZES)]
    fn last_exact(bencher: Bencher<'_, '_>, count: usize) {
        find(bencher, &exact(count), &format!("shop-{}.example.com:443", count - 1), true);
    }

    #[divan::bench(args = SIZES)]
    fn last_exact_upper_case(bencher: Bencher<'_, '_>, count: usize) {
        find(bencher, &exact(count), &format!("Shop-{}.Example.com:443", count - 1), true);
    }

    #[divan::bench(args = SIZES)]
    fn miss_exact(bencher: Bencher<'_, '_>, count: usize) {
        find(bencher, &exact(count), "other.example.com", false);
    }

    #[divan::bench(args = SIZES)]
    fn last_wildcard(bencher: Bencher<'_, '_>, count: usize) {
        let last = count - 1;
        find(bencher, &wildcards(count), &format!("www.shop-{last}.{}.com", "x".repeat(last % 30)), true);
    }

    #[divan::bench(args = SIZES)]
    fn miss_wildcard(bencher: Bencher<'_, '_>, count: usize) {
        find(bencher, &wildcards(count), "www.other.a-long-name-in-a-long-domain.example.com", false);
    }

    #[divan::bench(args = SIZES, sample_count = 10, sample_size = 1)]
    fn build(bencher: Bencher<'_, '_>, count: usize) {
        bencher.bench_local(|| exact(count));
    }

    /// A copy in which one host is replaced.
    #[divan::bench(args = SIZES, sample_count = 10, sample_size = 1)]
    fn change_one(bencher: Bencher<'_, '_>, count: usize) {
        let hosts = exact(count);
        let (host, value) = (Host::from("shop-0.example.com"), Arc::new(0));
        bencher.bench_local(|| {
            let mut changed = hosts.clone();
            changed.insert(host.clone(), Arc::clone(&value));
            changed
        });
    }
}
