//! VirtualService (docs/semantics.md §3).

use serde_json::json;

use super::common::export_to;
use super::{Rule, counts, durations, filled, holds, needs, percent, port, range, rule};

/// Rules for HTTP in one VirtualService, at most: what makes richer conditions on them affordable.
const MOST_RULES: usize = 8192;
/// Methods that `allowMethods` takes.
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"];
/// A label of a DNS name.
const LABEL: &str = "^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$";

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = top();
    rules.extend(http_route());
    rules.extend(actions());
    rules.extend(modifiers());
    rules.extend(l4());
    rules.extend(export_to("VirtualService", false));
    rules
}

fn top() -> Vec<Rule> {
    vec![
        holds(
            "VirtualService",
            "",
            &[
                (
                    "(has(self.http) && self.http.size() > 0) || (has(self.tls) && self.tls.size() > 0) || (has(self.tcp) && self.tcp.size() > 0)",
                    "at least one rule in http, tls or tcp is needed",
                ),
                (
                    "(has(self.hosts) && self.hosts.size() > 0) || !((has(self.gateways) && self.gateways.size() > 0) || (has(self.tls) && self.tls.size() > 0) || (has(self.tcp) && self.tcp.size() > 0))",
                    "hosts are needed; only a delegate has none, which has neither gateways, tls nor tcp",
                ),
                (
                    "!has(self.hosts) || !('*' in self.hosts) || (has(self.gateways) && self.gateways.size() > 0 && !('mesh' in self.gateways))",
                    "host * is not allowed in a VirtualService that applies to mesh; name its gateways without mesh",
                ),
            ],
        ),
        rule("VirtualService", "hosts[]", json!({"maxLength": 255})),
        rule("VirtualService", "gateways[]", json!({"maxLength": 320})),
        rule("VirtualService", "http", json!({"maxItems": MOST_RULES})),
    ]
}

fn http_route() -> Vec<Rule> {
    let mut rules = vec![
        // An old spelling that is still written.
        rule(
            "HttpRoute",
            "",
            json!({"properties": {"mirror_percent": {"type": "integer", "minimum": 0, "maximum": 100, "description": "Old spelling of `mirrorPercent`."}}}),
        ),
        holds(
            "HttpRoute",
            "",
            &[
                (
                    "(has(self.route) && self.route.size() > 0) || has(self.redirect) || has(self.directResponse) || has(self.delegate)",
                    "a rule needs one of route, redirect, directResponse and delegate",
                ),
                (
                    "(has(self.route) && self.route.size() > 0 ? 1 : 0) + (has(self.redirect) ? 1 : 0) + (has(self.directResponse) ? 1 : 0) <= 1",
                    "a rule has only one of route, redirect and directResponse",
                ),
                (
                    "!has(self.delegate) || !((has(self.route) && self.route.size() > 0) || has(self.redirect))",
                    "a rule that delegates cannot have route or redirect",
                ),
                (
                    "!(has(self.redirect) || has(self.directResponse)) || !(has(self.rewrite) || has(self.fault))",
                    "a redirect or direct response cannot be combined with rewrite or fault",
                ),
                (
                    "!has(self.mirror) || !has(self.mirrors) || self.mirrors.size() == 0",
                    "a rule has either mirror or mirrors",
                ),
            ],
        ),
        range("HttpRoute", "mirrorPercent", 0, 100),
        percent("Percent", "value"),
        needs("Delegate", &["name"]),
        rule("Delegate", "name", json!({"maxLength": 253})),
        rule("Delegate", "namespace", json!({"maxLength": 63})),
        range("HttpMatchRequest", "port", 0, 65535),
        rule("HttpMatchRequest", "sourceNamespace", json!({"maxLength": 63})),
    ];
    rules.extend(filled("Delegate", &["name"]));
    rules.extend(durations("HttpRoute", &["timeout"]));
    // Everything has an empty prefix; only a path may be told so.
    rules.extend(filled(
        "HttpMatchRequest",
        &["headers{}.prefix", "queryParams{}.prefix", "scheme.prefix", "method.prefix", "authority.prefix"],
    ));
    rules
}

fn actions() -> Vec<Rule> {
    let mut rules = vec![
        needs("Destination", &["host"]),
        rule("Destination", "host", json!({"maxLength": 255})),
        holds("Destination", "host", &[("self != '*'", "a destination is one service; * is not allowed")]),
        rule("Destination", "subset", json!({"maxLength": 63, "pattern": "^$|".to_owned() + LABEL})),
        port("PortSelector", "number"),
        needs("HttpRouteDestination", &["destination"]),
        needs("RouteDestination", &["destination"]),
        holds(
            "HttpRedirect",
            "",
            &[
                (
                    "has(self.uri) || has(self.prefixRewrite) || has(self.authority) || has(self.scheme) || has(self.port) || has(self.derivePort)",
                    "a redirect needs at least one of uri, prefixRewrite, authority, scheme and port",
                ),
                ("!(has(self.port) && has(self.derivePort))", "port and derivePort exclude each other"),
                ("!(has(self.uri) && has(self.prefixRewrite))", "uri and prefixRewrite exclude each other"),
            ],
        ),
        range("HttpRedirect", "port", 0, 65535),
        rule("HttpRedirect", "scheme", json!({"enum": ["", "http", "https"]})),
        holds(
            "HttpRedirect",
            "redirectCode",
            &[("self == 0 || (self >= 300 && self <= 399)", "must be one of 301, 302, 303, 307 and 308")],
        ),
        needs("HttpDirectResponse", &["status"]),
        // 600 has always been let through.
        range("HttpDirectResponse", "status", 200, 600),
        holds("HttpBody", "", &[("!(has(self.string) && has(self.bytes))", "a body is either string or bytes")]),
        rule("HttpBody", "bytes", json!({"format": "byte"})),
    ];
    rules.extend(filled("Destination", &["host"]));
    rules.extend(counts("HttpRouteDestination", &["weight"]));
    rules.extend(counts("RouteDestination", &["weight"]));
    rules
}

fn modifiers() -> Vec<Rule> {
    let mut rules = vec![
        holds(
            "HttpRewrite",
            "",
            &[
                (
                    "has(self.uri) || has(self.authority) || has(self.uriRegexRewrite)",
                    "a rewrite needs at least one of uri, uriRegexRewrite and authority",
                ),
                ("!(has(self.uri) && has(self.uriRegexRewrite))", "uri and uriRegexRewrite exclude each other"),
            ],
        ),
        needs("RegexRewrite", &["match", "rewrite"]),
        rule("RegexRewrite", "match", json!({"minLength": 1, "maxLength": 1024})),
        rule("HttpRetry", "retryOn", json!({"maxLength": 1024})),
        holds(
            "HttpRetry",
            "",
            &[(
                "(has(self.attempts) && self.attempts > 0) || !(has(self.perTryTimeout) || (has(self.retryOn) && self.retryOn != '') || has(self.retryRemoteLocalities))",
                "attempts 0 switches retries off; nothing else can be said about them then",
            )],
        ),
        holds("HttpFaultInjection", "", &[("has(self.delay) || has(self.abort)", "a fault needs a delay or an abort")]),
        holds(
            "FaultDelay",
            "",
            &[
                ("!has(self.exponentialDelay)", "exponentialDelay does not exist; use fixedDelay"),
                ("has(self.fixedDelay) || has(self.exponentialDelay)", "a delay needs a fixedDelay"),
            ],
        ),
        range("FaultDelay", "percent", 0, 100),
        holds(
            "FaultAbort",
            "",
            &[
                ("!(has(self.httpStatus) && has(self.grpcStatus))", "httpStatus and grpcStatus exclude each other"),
                ("!has(self.http2Error)", "http2Error does not exist; use httpStatus or grpcStatus"),
            ],
        ),
        range("FaultAbort", "httpStatus", 200, 600),
        needs("HttpMirrorPolicy", &["destination"]),
        // An origin is compared with something.
        rule("CorsPolicy", "allowOrigins[]", json!({"minProperties": 1})),
        rule("CorsPolicy", "allowOrigins[].prefix", json!({"minLength": 1})),
        rule("CorsPolicy", "allowMethods[]", json!({"enum": METHODS})),
        rule("CorsPolicy", "maxAge", json!({"maxLength": 64})),
        holds("CorsPolicy", "maxAge", &[("duration(self).getMilliseconds() % 1000 == 0", "must be in whole seconds")]),
    ];
    rules.extend(counts("HttpRetry", &["attempts"]));
    rules.extend(durations("HttpRetry", &["perTryTimeout", "backoff"]));
    rules.extend(durations("FaultDelay", &["fixedDelay"]));
    rules
}

fn l4() -> Vec<Rule> {
    vec![
        needs("TlsRoute", &["match", "route"]),
        rule("TlsRoute", "match", json!({"minItems": 1})),
        rule("TlsRoute", "route", json!({"minItems": 1})),
        needs("TlsMatchAttributes", &["sniHosts"]),
        rule("TlsMatchAttributes", "sniHosts", json!({"minItems": 1})),
        range("TlsMatchAttributes", "port", 0, 65535),
        needs("TcpRoute", &["route"]),
        rule("TcpRoute", "route", json!({"minItems": 1})),
        range("L4MatchAttributes", "port", 0, 65535),
    ]
}
