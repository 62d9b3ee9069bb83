//! Telemetry: what is checked about it (docs/semantics.md §16.5). Nothing reads it yet.

use std::time::Duration;

use crds::telemetry::{
    AccessLogging, CustomTag, LogFilter, MetricSelector, Metrics, MetricsOverrides, ProviderRef, TagOperation,
    TagOverride, Telemetry, Tracing,
};

use crate::attachment;
use crate::scope::Scope;

pub(crate) fn validate(spec: &Telemetry, at: &mut Scope<'_>) {
    let Telemetry { selector, target_ref, target_refs, tracing, metrics, access_logging } = spec;
    attachment::validate(selector.as_ref(), target_ref.as_ref(), target_refs, at);
    if tracing.len() > 1 {
        at.item("tracing", 1).no_effect("only the first entry counts");
    }
    for (index, entry) in tracing.iter().enumerate() {
        validate_tracing(entry, &mut at.item("tracing", index));
    }
    for (index, entry) in metrics.iter().enumerate() {
        validate_metrics(entry, &mut at.item("metrics", index));
    }
    for (index, entry) in access_logging.iter().enumerate() {
        let AccessLogging { matches: _, providers, disabled: _, filter } = entry;
        let mut at = at.item("accessLogging", index);
        validate_providers(providers, &mut at);
        if let Some(LogFilter { expression }) = filter
            && expression.is_empty()
        {
            at.field("filter").field("expression").missing("a filter needs an expression");
        }
    }
}

fn validate_providers(providers: &[ProviderRef], at: &mut Scope<'_>) {
    for (index, _) in providers.iter().enumerate().filter(|(_, provider)| provider.name.is_empty()) {
        at.item("providers", index).into_field("name").missing("a provider needs a name");
    }
}

fn validate_tracing(entry: &Tracing, at: &mut Scope<'_>) {
    validate_providers(&entry.providers, at);
    if entry.providers.len() > 1 {
        at.field("providers").conflict("spans go to one provider only");
    }
    if let Some(share) = entry.random_sampling_percentage.filter(|share| !(0.0..=100.0).contains(share)) {
        at.field("randomSamplingPercentage").invalid(&share.to_string(), "a share from 0 to 100");
    }
    for (name, tag) in &entry.custom_tags {
        let CustomTag { literal, environment, header, formatter } = tag;
        let mut at = at.entry("customTags", name);
        if name.is_empty() {
            at.missing("a tag needs a name");
        }
        let sources = [literal.is_some(), environment.is_some(), header.is_some(), formatter.is_some()];
        match sources.into_iter().filter(|given| *given).count() {
            0 => at.missing("a tag needs one of literal, environment, header and formatter"),
            1 => {}
            _ => at.conflict("a tag has one of literal, environment, header and formatter"),
        }
        let unnamed = literal.as_ref().is_some_and(|source| source.value.is_empty())
            || environment.as_ref().is_some_and(|source| source.name.is_empty())
            || header.as_ref().is_some_and(|source| source.name.is_empty())
            || formatter.as_ref().is_some_and(|source| source.value.is_empty());
        if unnamed {
            at.missing("where the tag's value comes from cannot be empty");
        }
    }
}

fn validate_metrics(entry: &Metrics, at: &mut Scope<'_>) {
    let Metrics { providers, overrides, reporting_interval } = entry;
    validate_providers(providers, at);
    for (index, MetricsOverrides { matches, disabled: _, tag_overrides }) in overrides.iter().enumerate() {
        let mut at = at.item("overrides", index);
        if let Some(MetricSelector { metric: Some(_), custom_metric: Some(_), mode: _ }) = matches {
            at.field("match").conflict("metric and customMetric exclude each other");
        }
        for (name, TagOverride { operation, value }) in tag_overrides {
            let mut at = at.entry("tagOverrides", name);
            let given = value.as_deref().is_some_and(|value| !value.is_empty());
            match operation {
                TagOperation::Upsert if !given => at.field("value").missing("operation UPSERT needs a value"),
                TagOperation::Remove if given => at.field("value").conflict("operation REMOVE has no value"),
                TagOperation::Upsert | TagOperation::Remove => {}
            }
        }
    }
    if let Some(text) = reporting_interval {
        at.field("reportingInterval").duration_of_at_least(text, Duration::from_millis(1));
    }
}
