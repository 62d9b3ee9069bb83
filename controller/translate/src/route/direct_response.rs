//! `directResponse` (docs/semantics.md §3.7).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::{HttpBody, HttpDirectResponse, HttpRoute};
use ir::{DirectResponse, HeaderEdits, ReplyStatus};

use super::headers;
use crate::report::Problem;
use crate::scope::Scope;

/// Largest body, and the size from which users are warned.
const LIMIT: usize = 1024 * 1024;
const ADVISED: usize = 100 * 1024;

/// Nothing for a status that cannot be sent.
pub(crate) fn translate(response: &HttpDirectResponse, rule: &HttpRoute) -> Option<DirectResponse> {
    let status = u16::try_from(response.status).ok()?.try_into().ok()?;
    let body = match &response.body {
        None => None,
        Some(HttpBody { string: Some(text), .. }) => Some(STANDARD.encode(text)),
        Some(HttpBody { string: None, bytes: Some(bytes) }) => Some(bytes.clone()),
        Some(HttpBody { string: None, bytes: None }) => None,
    };
    let body = body.filter(|body| !body.is_empty() && STANDARD.decode(body).is_ok());
    Some(DirectResponse { status, body, edits: headers::of_rule(rule.headers.as_deref()) })
}

/// The answer of a rule of which nothing can be carried out as it is meant: what it would be without the broken part is
/// not what its author wants served.
pub(crate) fn broken() -> DirectResponse {
    DirectResponse { status: ReplyStatus::INTERNAL_ERROR, body: None, edits: HeaderEdits::default() }
}

pub(crate) fn validate(response: &HttpDirectResponse, rule: &HttpRoute, at: &mut Scope<'_>) {
    let HttpDirectResponse { status, body } = response;
    if !rule.route.is_empty() || rule.redirect.is_some() {
        at.conflict("a rule has either route, redirect or directResponse");
    }
    if rule.rewrite.is_some() {
        at.conflict("a direct response cannot be combined with rewrite");
    }
    if rule.fault.is_some() {
        at.conflict("a direct response cannot be combined with fault");
    }
    if *status == 600 {
        // Istio's webhook takes it, and its proxy does not.
        at.field("status").no_effect("600 cannot be sent; the rule is left out");
    } else {
        at.field("status").range(*status, 200, 599);
    }
    let Some(HttpBody { string, bytes }) = body else { return };
    let mut at = at.field("body");
    if string.is_some() && bytes.is_some() {
        at.conflict("a body is either string or bytes");
    }
    let length = match (string, bytes) {
        (Some(text), _) => text.len(),
        (None, Some(bytes)) => match STANDARD.decode(bytes) {
            Ok(bytes) => bytes.len(),
            Err(_) => {
                at.field("bytes").invalid(bytes, "base64");
                return;
            }
        },
        (None, None) => return,
    };
    if length > LIMIT {
        at.report(Problem::BodyTooLarge { length, limit: LIMIT });
    } else if length > ADVISED {
        at.report(Problem::LargeBody { length, advised: ADVISED });
    }
}
