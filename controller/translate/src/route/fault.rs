//! `fault`: failures injected on purpose (docs/semantics.md §3.11).

use std::time::Duration;

use crds::{FaultAbort, FaultDelay, HttpFaultInjection, Percent};
use ir::{AbortReply, Fault};

use crate::report::Problem;
use crate::scope::Scope;

/// Names of gRPC statuses.
const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// What a rule's fault injects; `None` where it injects nothing.
pub(crate) fn translate(fault: Option<&HttpFaultInjection>) -> Option<Fault> {
    let HttpFaultInjection { delay, abort } = fault?;
    let fault = Fault { delay: delay.as_ref().and_then(self::delay), abort: abort.as_ref().and_then(self::abort) };
    (fault.delay.is_some() || fault.abort.is_some()).then_some(fault)
}

fn delay(delay: &FaultDelay) -> Option<ir::FaultDelay> {
    let FaultDelay { percent, fixed_delay, exponential_delay: _, percentage } = delay;
    let duration = crds::duration::parse(fixed_delay.as_deref()?).ok()?;
    // The deprecated whole percent counts only without the other.
    let share = match percentage {
        Some(percentage) => per_million(percentage),
        None => u32::try_from(percent.unwrap_or_default().clamp(0, 100)).unwrap_or_default() * 10_000,
    };
    (share > 0 && !duration.is_zero()).then_some(ir::FaultDelay { duration, per_million: share })
}

fn abort(abort: &FaultAbort) -> Option<ir::FaultAbort> {
    let FaultAbort { http_status, grpc_status, http2_error: _, percentage } = abort;
    let share = percentage.as_ref().map(per_million)?;
    let reply = match (http_status, grpc_status) {
        (Some(status), _) => AbortReply::Http(u16::try_from(*status).ok()?.try_into().ok()?),
        (None, Some(name)) => {
            let number = GRPC.iter().position(|known| known == name)?;
            AbortReply::Grpc(u16::try_from(number).ok()?)
        }
        (None, None) => return None,
    };
    (share > 0).then_some(ir::FaultAbort { reply, per_million: share })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of the result")]
fn per_million(percent: &Percent) -> u32 {
    (percent.value.clamp(0.0, 100.0) * 10_000.0).round() as u32
}

pub(crate) fn validate(fault: &HttpFaultInjection, at: &mut Scope<'_>) {
    let HttpFaultInjection { delay, abort } = fault;
    if delay.is_none() && abort.is_none() {
        at.missing("a fault needs a delay or an abort");
    }
    if let Some(FaultDelay { percent, fixed_delay, exponential_delay, percentage }) = delay {
        let mut at = at.field("delay");
        if let Some(percent) = percent {
            at.field("percent").range(*percent, 0, 100);
            at.field("percent").report(Problem::Deprecated { what: "percent", instead: "use percentage.value" });
        }
        validate_percentage(percentage.as_ref(), &mut at.field("percentage"));
        match fixed_delay {
            Some(text) => _ = at.field("fixedDelay").duration_of_at_least(text, Duration::from_millis(1)),
            None if exponential_delay.is_none() => at.field("fixedDelay").missing("a delay needs a duration"),
            None => {}
        }
        if exponential_delay.is_some() {
            at.field("exponentialDelay").conflict("exponentialDelay does not exist; use fixedDelay");
        }
    }
    if let Some(FaultAbort { http_status, grpc_status, http2_error, percentage }) = abort {
        let mut at = at.field("abort");
        validate_percentage(percentage.as_ref(), &mut at.field("percentage"));
        let kinds = [http_status.is_some(), grpc_status.is_some(), http2_error.is_some()];
        if kinds.into_iter().filter(|given| *given).count() > 1 {
            at.conflict("only one of httpStatus, grpcStatus and http2Error is allowed");
        }
        if let Some(status) = http_status.filter(|status| *status != 600) {
            at.field("httpStatus").range(status, 200, 599);
        }
        if let Some(status) = grpc_status.as_deref().filter(|status| !GRPC.contains(status)) {
            at.field("grpcStatus").invalid(status, "the name of a gRPC status such as UNAVAILABLE");
        }
        if http2_error.is_some() {
            at.field("http2Error").conflict("http2Error does not exist; use httpStatus");
        }
    }
}

/// 0, or a share from a ten-thousandth of a percent on.
pub(crate) fn validate_percentage(percentage: Option<&Percent>, at: &mut Scope<'_>) {
    let Some(Percent { value }) = percentage else { return };
    if *value != 0.0 && !(0.0001..=100.0).contains(value) {
        at.field("value").invalid(&value.to_string(), "0, or a share from 0.0001 to 100");
    }
}
