//! `mirror` and `mirrors`: checked, not yet sent (docs/semantics.md §3.12).

use crds::{HttpMirrorPolicy, HttpRoute};

use super::{destination, fault};
use crate::report::Problem;
use crate::scope::Scope;

pub(crate) fn validate(rule: &HttpRoute, at: &mut Scope<'_>) {
    if rule.mirror.is_some() && !rule.mirrors.is_empty() {
        at.field("mirrors").conflict("a rule has either mirror or mirrors");
    }
    if let Some(mirror) = &rule.mirror {
        let mut at = at.field("mirror");
        destination::validate(Some(mirror), &mut at);
        at.not_supported("no copy is sent");
    }
    if let Some(percent) = rule.mirror_percent {
        let mut at = at.field("mirrorPercent");
        at.range(percent, 0, 100);
        at.report(Problem::Deprecated { what: "mirrorPercent", instead: "use mirrorPercentage.value" });
    }
    if let Some(percentage) = &rule.mirror_percentage {
        validate_share(percentage.value, &mut at.field("mirrorPercentage"));
    }
    for (index, HttpMirrorPolicy { destination, percentage }) in rule.mirrors.iter().enumerate() {
        let mut at = at.item("mirrors", index);
        destination::validate(destination.as_ref(), &mut at.field("destination"));
        fault::validate_percentage(percentage.as_ref(), &mut at.field("percentage"));
    }
    if !rule.mirrors.is_empty() {
        at.field("mirrors").not_supported("no copies are sent");
    }
}

fn validate_share(value: f64, at: &mut Scope<'_>) {
    if !(0.0..=100.0).contains(&value) {
        at.field("value").invalid(&value.to_string(), "a share from 0 to 100");
    }
}
