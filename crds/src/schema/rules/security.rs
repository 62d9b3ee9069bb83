//! PeerAuthentication, RequestAuthentication and AuthorizationPolicy (docs/semantics.md §11 to §13).

use serde_json::json;

use super::common::attached_once;
use super::{Rule, durations, filled, holds, needs, rule};

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = peer_authentication();
    rules.extend(request_authentication());
    rules.extend(authorization_policy());
    rules
}

fn peer_authentication() -> Vec<Rule> {
    vec![
        holds(
            "PeerAuthentication",
            "",
            &[(
                "!has(self.portLevelMtls) || (has(self.selector) && has(self.selector.matchLabels) && self.selector.matchLabels.size() > 0)",
                "portLevelMtls needs a selector with labels: ports belong to workloads",
            )],
        ),
        rule("PeerAuthentication", "portLevelMtls", json!({"minProperties": 1, "maxProperties": 256})),
        holds(
            "PeerAuthentication",
            "portLevelMtls",
            &[(
                "self.all(port, port.matches('^[0-9]{1,5}$') && int(port) > 0 && int(port) <= 65535)",
                "ports are 1 to 65535",
            )],
        ),
    ]
}

fn request_authentication() -> Vec<Rule> {
    let url = json!({"minLength": 1, "maxLength": 2048});
    let scheme = [("url(self).getScheme() in ['http', 'https']", "must be an address with http:// or https://")];
    let mut rules = attached_once("RequestAuthentication");
    rules.extend([
        rule("RequestAuthentication", "jwtRules", json!({"maxItems": 4096})),
        // An old spelling that is still written.
        rule(
            "JwtRule",
            "",
            json!({"properties": {"jwks_uri": {"type": "string", "description": "Old spelling of `jwksUri`."}}}),
        ),
        holds(
            "JwtRule",
            "",
            &[
                (
                    "(has(self.jwksUri) ? 1 : 0) + (has(self.jwks_uri) ? 1 : 0) + (has(self.jwks) ? 1 : 0) <= 1",
                    "only one of jwks and jwksUri can be given",
                ),
                (
                    "has(self.issuer) || has(self.jwksUri) || has(self.jwks_uri)",
                    "an issuer is needed, unless jwksUri says where the keys are",
                ),
            ],
        ),
        rule("JwtRule", "jwksUri", url.clone()),
        rule("JwtRule", "jwks_uri", url),
        holds("JwtRule", "jwksUri", &scheme),
        holds("JwtRule", "jwks_uri", &scheme),
        rule("JwtRule", "spaceDelimitedClaims", json!({"maxItems": 64})),
        needs("JwtHeader", &["name"]),
        needs("ClaimToHeader", &["header", "claim"]),
        rule("ClaimToHeader", "header", json!({"pattern": "^[-_A-Za-z0-9]+$"})),
    ]);
    rules.extend(filled(
        "JwtRule",
        &["issuer", "audiences[]", "fromParams[]", "fromCookies[]", "spaceDelimitedClaims[]"],
    ));
    rules.extend(filled("JwtHeader", &["name"]));
    rules.extend(filled("ClaimToHeader", &["header", "claim"]));
    rules.extend(durations("JwtRule", &["timeout"]));
    rules
}

fn authorization_policy() -> Vec<Rule> {
    let mut rules = attached_once("AuthorizationPolicy");
    rules.extend([
        rule("AuthorizationPolicy", "rules", json!({"maxItems": 512})),
        holds(
            "AuthorizationPolicy",
            "",
            &[
                (
                    "!has(self.action) || !(self.action in ['DENY', 'CUSTOM']) || (has(self.rules) && self.rules.size() > 0)",
                    "without rules nothing matches, so a policy with action DENY or CUSTOM would do nothing; [{}] matches everything",
                ),
                (
                    "has(self.provider) == (has(self.action) && self.action == 'CUSTOM')",
                    "action CUSTOM needs a provider, and only that action can have one",
                ),
            ],
        ),
        rule("Rule", "from", json!({"maxItems": 512})),
        needs("RuleFrom", &["source"]),
        needs("RuleTo", &["operation"]),
        rule("Source", "", json!({"minProperties": 1})),
        rule("Operation", "", json!({"minProperties": 1})),
        rule("Source", "serviceAccounts", json!({"maxItems": 16})),
        rule("Source", "serviceAccounts[]", json!({"maxLength": 320})),
        rule("Source", "notServiceAccounts", json!({"maxItems": 16})),
        rule("Source", "notServiceAccounts[]", json!({"maxLength": 320})),
        holds(
            "Source",
            "",
            &[(
                "!(has(self.serviceAccounts) || has(self.notServiceAccounts)) || !(has(self.principals) || has(self.notPrincipals) || has(self.namespaces) || has(self.notNamespaces))",
                "serviceAccounts cannot be combined with principals or namespaces",
            )],
        ),
        needs("Condition", &["key"]),
        holds("Condition", "", &[("has(self.values) || has(self.notValues)", "a condition needs values or notValues")]),
    ]);
    rules.extend(filled("Condition", &["key"]));
    rules.extend(filled(
        "Source",
        &[
            "principals[]",
            "notPrincipals[]",
            "requestPrincipals[]",
            "notRequestPrincipals[]",
            "namespaces[]",
            "notNamespaces[]",
            "ipBlocks[]",
            "notIpBlocks[]",
            "remoteIpBlocks[]",
            "notRemoteIpBlocks[]",
            "serviceAccounts[]",
            "notServiceAccounts[]",
            "trustDomains[]",
            "notTrustDomains[]",
        ],
    ));
    rules.extend(filled(
        "Operation",
        &["hosts[]", "notHosts[]", "ports[]", "notPorts[]", "methods[]", "notMethods[]", "paths[]", "notPaths[]"],
    ));
    rules
}
