//! RequestAuthentication: what is checked about it (docs/semantics.md §12). Nothing enforces it yet.

use std::time::Duration;

use crds::{ClaimToHeader, JwtHeader, JwtRule, RequestAuthentication};
use serde_json::Value;

use crate::attachment;
use crate::scope::Scope;

/// Members of a key that only its owner has.
const PRIVATE: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];

pub(crate) fn validate(spec: &RequestAuthentication, at: &mut Scope<'_>) {
    let RequestAuthentication { selector, target_ref, target_refs, jwt_rules } = spec;
    attachment::validate(selector.as_ref(), target_ref.as_ref(), target_refs, at);
    for (index, rule) in jwt_rules.iter().enumerate() {
        validate_rule(rule, &mut at.item("jwtRules", index));
    }
}

fn validate_rule(rule: &JwtRule, at: &mut Scope<'_>) {
    let JwtRule {
        issuer,
        audiences,
        jwks_uri,
        jwks,
        from_headers,
        from_params,
        from_cookies,
        output_payload_to_header,
        forward_original_token: _,
        output_claim_to_headers,
        timeout,
        space_delimited_claims,
    } = rule;
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if !given(issuer) && !given(jwks_uri) {
        at.field("issuer").missing("an issuer is needed, unless jwksUri says where the keys are");
    }
    if given(jwks_uri) && given(jwks) {
        at.field("jwks").conflict("only one of jwks and jwksUri can be given");
    }
    if let Some(address) = jwks_uri.as_deref().filter(|address| !address.is_empty()) {
        let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with(['/', ':', '?'])) {
            at.field("jwksUri").invalid(address, "an address that begins with http:// or https://");
        }
    }
    if let Some(text) = jwks.as_deref().filter(|text| !text.is_empty()) {
        validate_keys(text, &mut at.field("jwks"));
    }
    for (name, values) in [
        ("audiences", audiences),
        ("fromParams", from_params),
        ("fromCookies", from_cookies),
        ("spaceDelimitedClaims", space_delimited_claims),
    ] {
        for (index, _) in values.iter().enumerate().filter(|(_, value)| value.is_empty()) {
            at.item(name, index).missing("a value cannot be empty");
        }
    }
    for (index, JwtHeader { name, prefix: _ }) in from_headers.iter().enumerate() {
        header(name, &mut at.item("fromHeaders", index).into_field("name"));
    }
    if let Some(name) = output_payload_to_header.as_deref().filter(|name| !name.is_empty()) {
        header(name, &mut at.field("outputPayloadToHeader"));
    }
    for (index, ClaimToHeader { header: name, claim }) in output_claim_to_headers.iter().enumerate() {
        let mut at = at.item("outputClaimToHeaders", index);
        header(name, &mut at.field("header"));
        if claim.is_empty() {
            at.field("claim").missing("the name of a claim is needed");
        }
    }
    if let Some(text) = timeout {
        at.field("timeout").duration_of_at_least(text, Duration::from_millis(1));
    }
}

fn header(name: &str, at: &mut Scope<'_>) {
    if name.is_empty() {
        at.missing("the name of a header is needed");
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        at.invalid(name, "the name of a header: letters, digits, - and _");
    }
}

/// The text itself is told to nobody: it may hold what it should not.
fn validate_keys(text: &str, at: &mut Scope<'_>) {
    let set: Option<Value> = serde_json::from_str(text).ok();
    let keys = set.as_ref().and_then(|set| set.get("keys")).and_then(Value::as_array);
    let Some(keys) = keys else {
        at.missing("jwks must be a JSON Web Key Set: {\"keys\": [...]}");
        return;
    };
    if keys.iter().any(|key| PRIVATE.iter().any(|member| key.get(member).is_some())) {
        at.no_effect("the private key in it, which nobody here needs and everybody who may read the object now has");
    }
}
