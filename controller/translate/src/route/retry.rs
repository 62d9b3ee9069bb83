//! `retries`: when and how often a request is sent again (docs/semantics.md §3.10).

use std::time::Duration;

use crds::HttpRetry;
use ir::{RetryOn, RetryPolicy};

use crate::scope::Scope;

/// What is retried where nothing is said, and how often.
const DEFAULT_ON: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const DEFAULT_ATTEMPTS: u32 = 2;
/// Base of the exponential backoff where nothing is said.
const BACKOFF: Duration = Duration::from_millis(25);

/// Conditions that are understood without meaning anything here: they need settings that Istio's API does not have, or
/// HTTP/3.
const INERT: [&str; 3] = ["retriable-status-codes", "retriable-headers", "http3-post-connect-failure"];
const RATE_LIMITED: &str = "envoy-ratelimited";

/// A rule's retries, else the mesh's, else the default. Nothing means one attempt.
pub(crate) fn translate(rule: Option<&HttpRetry>, mesh: Option<&HttpRetry>) -> Option<RetryPolicy> {
    let Some(retry) = rule.or(mesh) else { return Some(default()) };
    let HttpRetry {
        attempts,
        per_try_timeout,
        retry_on,
        // Reported by `validate`.
        retry_remote_localities: _,
        retry_ignore_previous_hosts,
        backoff,
    } = retry;
    let attempts = u32::try_from(*attempts).ok().filter(|attempts| *attempts > 0)?;
    let duration = |text: &Option<String>| {
        text.as_deref().and_then(|text| crds::duration::parse(text).ok()).filter(|duration| !duration.is_zero())
    };
    let on = retry_on.as_deref().filter(|on| !on.trim().is_empty()).unwrap_or(DEFAULT_ON);
    Some(RetryPolicy {
        attempts,
        per_try_timeout: duration(per_try_timeout),
        on: conditions(on),
        backoff: duration(backoff).unwrap_or(BACKOFF),
        avoid_previous_hosts: retry_ignore_previous_hosts.unwrap_or(true),
    })
}

fn default() -> RetryPolicy {
    RetryPolicy {
        attempts: DEFAULT_ATTEMPTS,
        per_try_timeout: None,
        on: conditions(DEFAULT_ON),
        backoff: BACKOFF,
        avoid_previous_hosts: true,
    }
}

fn conditions(list: &str) -> RetryOn {
    let mut on = RetryOn::default();
    for token in list.split(',').map(str::trim) {
        match token {
            "5xx" => on.server_error = true,
            "gateway-error" => on.gateway_error = true,
            "reset" => on.reset = true,
            "reset-before-request" => on.reset_before_request = true,
            "connect-failure" => on.connect_failure = true,
            "refused-stream" => on.refused_stream = true,
            "retriable-4xx" => on.retriable_4xx = true,
            other => match (grpc_status(other), status(other)) {
                (Some(status), _) => on.grpc_statuses.push(status),
                (None, Some(status)) => on.statuses.push(status),
                (None, None) => {}
            },
        }
    }
    on.grpc_statuses.sort_unstable();
    on.grpc_statuses.dedup();
    on.statuses.sort_unstable();
    on.statuses.dedup();
    on
}

fn grpc_status(token: &str) -> Option<u16> {
    Some(match token {
        "cancelled" => 1,
        "deadline-exceeded" => 4,
        "resource-exhausted" => 8,
        "internal" => 13,
        "unavailable" => 14,
        _ => return None,
    })
}

/// A number that is the status of HTTP's registry.
fn status(token: &str) -> Option<u16> {
    let status: u16 = token.parse().ok()?;
    let known = matches!(status,
        100..=103 | 200..=208 | 226 | 300..=305 | 307 | 308 | 400..=418 | 421..=426 | 428 | 429 | 431 | 451
        | 500..=508 | 510 | 511);
    known.then_some(status)
}

fn is_known(token: &str) -> bool {
    let named =
        ["5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "refused-stream", "retriable-4xx"];
    named.contains(&token)
        || INERT.contains(&token)
        || token == RATE_LIMITED
        || grpc_status(token).is_some()
        || status(token).is_some()
}

pub(crate) fn validate(retry: &HttpRetry, at: &mut Scope<'_>) {
    let HttpRetry {
        attempts,
        per_try_timeout,
        retry_on,
        retry_remote_localities,
        retry_ignore_previous_hosts: _,
        backoff,
    } = retry;
    at.field("attempts").range(*attempts, 0, i64::from(i32::MAX));
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if *attempts == 0 && (given(per_try_timeout) || given(retry_on) || retry_remote_localities.is_some()) {
        at.conflict("attempts 0 switches retries off; nothing else can be said about them then");
    }
    for (name, text) in [("perTryTimeout", per_try_timeout), ("backoff", backoff)] {
        if let Some(text) = text {
            at.field(name).duration_of_at_least(text, Duration::from_millis(1));
        }
    }
    if let Some(list) = retry_on.as_deref().filter(|list| !list.is_empty()) {
        let mut at = at.field("retryOn");
        // Not trimmed, as Istio's webhook does not.
        for token in list.split(',') {
            if !is_known(token) {
                at.invalid(
                    token,
                    "a condition such as 5xx, reset, connect-failure or a status; spaces are not allowed",
                );
            } else if token == RATE_LIMITED {
                at.not_supported("the condition envoy-ratelimited never holds");
            }
        }
    }
    if *retry_remote_localities == Some(true) {
        at.field("retryRemoteLocalities").not_supported("retries go where all requests go");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_two_retries_that_do_no_harm() {
        let policy = translate(None, None).unwrap();
        let on =
            RetryOn { connect_failure: true, refused_stream: true, grpc_statuses: vec![1, 14], ..RetryOn::default() };
        assert_eq!((policy.attempts, policy.on), (2, on));
    }

    #[test]
    fn an_empty_block_switches_them_off() {
        assert_eq!(translate(Some(&HttpRetry::default()), None), None);
        let mesh = HttpRetry { attempts: 5, ..HttpRetry::default() };
        assert_eq!(translate(Some(&HttpRetry::default()), Some(&mesh)), None);
        assert_eq!(translate(None, Some(&mesh)).unwrap().attempts, 5);
    }

    #[test]
    fn numbers_are_statuses_and_spaces_are_trimmed() {
        let on = conditions("503, reset,unavailable,799");
        assert_eq!((on.statuses, on.reset, on.grpc_statuses), (vec![503], true, vec![14]));
    }
}
