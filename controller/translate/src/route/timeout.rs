//! `timeout` (docs/semantics.md §3.9).

use std::time::Duration;

use crate::scope::Scope;

/// Zero and absent both mean "none".
pub(crate) fn translate(timeout: Option<&str>) -> Option<Duration> {
    crds::duration::parse(timeout?).ok().filter(|limit| !limit.is_zero())
}

pub(crate) fn validate(timeout: &str, at: &mut Scope<'_>) {
    at.duration_of_at_least(timeout, Duration::from_millis(1));
}
