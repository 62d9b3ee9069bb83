//! Whether a failed attempt is worth another (docs/semantics.md §3.10). No IO, no clock.

use std::time::Duration;

use crate::proxy::error::Failure;
use crate::proxy::head::{FieldId, ResponseHead};

/// Whether the policy covers the failure of an attempt that brought no response.
pub(crate) fn covers_failure(on: &ir::RetryOn, failure: &Failure, request_was_sent: bool) -> bool {
    // No `..` here: a new condition stops the build until someone decides where it counts.
    let ir::RetryOn {
        server_error,
        gateway_error,
        reset,
        reset_before_request,
        connect_failure,
        refused_stream,
        retriable_4xx: _,
        statuses: _,
        grpc_statuses: _,
    } = on;
    let any_loss = *server_error || *gateway_error;
    match failure {
        Failure::ConnectFailed { .. } | Failure::ConnectTimeout => {
            any_loss || *connect_failure || *reset || *reset_before_request
        }
        Failure::RefusedStream => any_loss || *refused_stream || *reset || *reset_before_request,
        Failure::UpstreamClosed => any_loss || *reset || *reset_before_request && !request_was_sent,
        Failure::UpstreamProtocol | Failure::PerTryTimeout => any_loss || *reset,
        _ => false,
    }
}

/// Whether the policy covers a response.
pub(crate) fn covers_response(on: &ir::RetryOn, head: &ResponseHead) -> bool {
    let status = head.status;
    if on.server_error && (500..600).contains(&status)
        || on.gateway_error && (502..=504).contains(&status)
        || on.retriable_4xx && status == 409
        || on.statuses.contains(&status)
    {
        return true;
    }
    if on.grpc_statuses.is_empty() {
        return false;
    }
    // Only a reply without body carries its gRPC status in the head.
    let code = head.fields.get(FieldId::GrpcStatus).and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    code.is_some_and(|code| on.grpc_statuses.contains(&code))
}

/// Upper bound of the pause before retry number `retry` (from 1); the pause itself is drawn below it.
pub(crate) fn backoff_bound(base: Duration, retry: u32) -> Duration {
    let doubled = base.saturating_mul(1_u32.checked_shl(retry).map_or(u32::MAX, |factor| factor - 1));
    doubled.min(base.saturating_mul(10))
}

/// Whether a request that may have reached an upstream can be sent again without harm (RFC 9110 §9.2.2).
pub(crate) fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_cover_what_they_name() {
        let connect = Failure::ConnectFailed { reason: "x" };
        let on = |set: fn(&mut ir::RetryOn)| {
            let mut on = ir::RetryOn::default();
            set(&mut on);
            on
        };
        let rows: &[(ir::RetryOn, [bool; 4])] = &[
            // connect failure, closed after sending, closed before sending, per-try timeout
            (on(|on| on.server_error = true), [true, true, true, true]),
            (on(|on| on.gateway_error = true), [true, true, true, true]),
            (on(|on| on.reset = true), [true, true, true, true]),
            (on(|on| on.connect_failure = true), [true, false, false, false]),
            (on(|on| on.reset_before_request = true), [true, false, true, false]),
            (on(|on| on.statuses = vec![503]), [false, false, false, false]),
        ];
        for (on, expected) in rows {
            let got = [
                covers_failure(on, &connect, false),
                covers_failure(on, &Failure::UpstreamClosed, true),
                covers_failure(on, &Failure::UpstreamClosed, false),
                covers_failure(on, &Failure::PerTryTimeout, true),
            ];
            assert_eq!(got, *expected, "{on:?}");
        }
    }

    #[test]
    fn responses_are_covered_by_status() {
        let on = ir::RetryOn { gateway_error: true, grpc_statuses: vec![14], ..ir::RetryOn::default() };
        for (status, covered) in [(500, false), (502, true), (504, true), (200, false)] {
            assert_eq!(covers_response(&on, &ResponseHead::new(status)), covered, "{status}");
        }
        let mut trailers_only = ResponseHead::new(200);
        trailers_only.fields.push(b"grpc-status", b"14");
        assert!(covers_response(&on, &trailers_only));
    }

    #[test]
    fn pauses_grow_to_ten_times_the_base() {
        let base = Duration::from_millis(25);
        let bounds: Vec<_> = (1..6).map(|retry| backoff_bound(base, retry).as_millis()).collect();
        assert_eq!(bounds, [25, 75, 175, 250, 250]);
        assert_eq!(backoff_bound(base, 40).as_millis(), 250);
    }
}
