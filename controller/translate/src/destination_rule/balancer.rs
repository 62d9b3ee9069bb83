//! What is checked about `loadBalancer` (docs/semantics.md §4.4, §4.5).

use std::collections::BTreeSet;

use crds::{
    ConsistentHashLb, HttpCookie, LoadBalancerSettings, LocalityDistribute, LocalityFailover,
    LocalityLoadBalancerSetting, MagLev, SimpleLb, WarmupConfiguration, ZoneAwareLoadBalancerSetting,
};

use crate::report::Problem;
use crate::scope::Scope;

/// Largest Maglev table.
const MAGLEV_LIMIT: u64 = 5_000_011;

pub(super) fn validate(settings: &LoadBalancerSettings, has_outlier: bool, at: &mut Scope<'_>) {
    let LoadBalancerSettings {
        simple,
        consistent_hash,
        locality_lb_setting,
        zone_aware_lb_setting,
        warmup_duration_secs,
        warmup,
    } = settings;
    if simple.is_some_and(|simple| simple != SimpleLb::Unspecified) && consistent_hash.is_some() {
        at.conflict("simple and consistentHash exclude each other");
    }
    if *simple == Some(SimpleLb::Passthrough) {
        at.field("simple").value_not_supported(SimpleLb::Passthrough, "LEAST_REQUEST is used");
    }
    if let Some(hash) = consistent_hash {
        validate_hash(hash, &mut at.field("consistentHash"));
    }
    if locality_lb_setting.is_some() && zone_aware_lb_setting.is_some() {
        at.field("zoneAwareLbSetting").conflict("localityLbSetting and zoneAwareLbSetting exclude each other");
    }
    if let Some(setting) = locality_lb_setting {
        validate_locality(setting, has_outlier, &mut at.field("localityLbSetting"));
    }
    if let Some(ZoneAwareLoadBalancerSetting { enabled: _, failover, failover_priority: _, min_cluster_size }) =
        zone_aware_lb_setting
    {
        let mut at = at.field("zoneAwareLbSetting");
        validate_failover(failover, &mut at);
        if let Some(size) = min_cluster_size {
            at.field("minClusterSize").range(*size, 0, i64::from(u32::MAX));
        }
        at.not_supported("endpoints are chosen without regard to where they are");
    }
    if let Some(text) = warmup_duration_secs {
        let mut at = at.field("warmupDurationSecs");
        at.duration(text);
        at.report(Problem::Deprecated { what: "warmupDurationSecs", instead: "use warmup.duration" });
        at.not_supported("new endpoints get their full share at once");
    }
    if let Some(WarmupConfiguration { duration, minimum_percent, aggression }) = warmup {
        let mut at = at.field("warmup");
        match duration {
            Some(text) => _ = at.field("duration").duration(text),
            None => at.field("duration").missing("warmup needs a duration"),
        }
        if let Some(percent) = minimum_percent.filter(|percent| !(0.0..=100.0).contains(percent)) {
            at.field("minimumPercent").invalid(&percent.to_string(), "a share from 0 to 100");
        }
        if let Some(aggression) = aggression.filter(|aggression| aggression.is_nan() || *aggression <= 0.0) {
            at.field("aggression").invalid(&aggression.to_string(), "a positive number");
        }
        if *simple != Some(SimpleLb::Random) {
            at.not_supported("new endpoints get their full share at once");
        }
    }
}

fn validate_hash(hash: &ConsistentHashLb, at: &mut Scope<'_>) {
    let ConsistentHashLb {
        http_header_name,
        http_cookie,
        use_source_ip,
        http_query_parameter_name,
        ring_hash,
        maglev,
        minimum_ring_size,
    } = hash;
    let keys = [
        http_header_name.is_some(),
        http_cookie.is_some(),
        use_source_ip.is_some(),
        http_query_parameter_name.is_some(),
    ];
    if keys.into_iter().filter(|given| *given).count() > 1 {
        at.conflict("exactly one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName is allowed");
    }
    if ring_hash.is_some() && maglev.is_some() {
        at.conflict("ringHash and maglev exclude each other");
    }
    if http_header_name.as_deref() == Some("") {
        at.field("httpHeaderName").missing("the name of a header is needed");
    }
    if http_query_parameter_name.as_deref() == Some("") {
        at.field("httpQueryParameterName").missing("the name of a query parameter is needed");
    }
    if let Some(cookie) = http_cookie {
        validate_cookie(cookie, &mut at.field("httpCookie"));
    }
    if let Some(MagLev { table_size }) = maglev {
        let size = table_size.unwrap_or(0);
        if size >= MAGLEV_LIMIT || !is_prime(size) {
            at.field("maglev")
                .field("tableSize")
                .invalid(&size.to_string(), "a prime number below 5000011, which maglev needs");
        }
    }
    if minimum_ring_size.is_some_and(|size| size > 0) {
        at.field("minimumRingSize")
            .report(Problem::Deprecated { what: "minimumRingSize", instead: "use ringHash.minimumRingSize" });
    }
    at.not_supported("LEAST_REQUEST is used");
}

fn is_prime(number: u64) -> bool {
    number >= 2
        && (2..).take_while(|divisor| divisor * divisor <= number).all(|divisor| !number.is_multiple_of(divisor))
}

fn validate_cookie(cookie: &HttpCookie, at: &mut Scope<'_>) {
    let HttpCookie { name, path: _, ttl, attributes } = cookie;
    if name.is_empty() {
        at.field("name").missing("a cookie needs a name");
    }
    if let Some(text) = ttl {
        at.field("ttl").duration(text);
    }
    let mut seen = BTreeSet::new();
    for (index, attribute) in attributes.iter().enumerate() {
        let mut at = at.item("attributes", index);
        if attribute.name.is_empty() {
            at.field("name").missing("an attribute needs a name");
        } else if !seen.insert(attribute.name.to_ascii_lowercase()) {
            at.field("name").report(Problem::Duplicate { value: attribute.name.clone() });
        }
    }
}

fn validate_locality(setting: &LocalityLoadBalancerSetting, has_outlier: bool, at: &mut Scope<'_>) {
    let LocalityLoadBalancerSetting { distribute, failover, failover_priority, enabled } = setting;
    if !distribute.is_empty() && !failover.is_empty() {
        at.conflict("distribute and failover exclude each other");
    }
    for (index, LocalityDistribute { from, to }) in distribute.iter().enumerate() {
        let mut at = at.item("distribute", index);
        check_locality(from, &mut at.field("from"));
        let mut sum = 0_i64;
        for (locality, weight) in to {
            let mut at = at.entry("to", locality);
            check_locality(locality, &mut at);
            at.range(*weight, 1, 100);
            sum = sum.saturating_add(*weight);
        }
        if sum != 100 {
            at.field("to").invalid(&sum.to_string(), "the sum that weights must have, which is 100");
        }
    }
    validate_failover(failover, at);
    if (!failover.is_empty() || !failover_priority.is_empty()) && !has_outlier {
        at.no_effect("failover needs outlierDetection beside it to notice that endpoints fail");
    }
    if *enabled != Some(false) {
        at.not_supported("endpoints are chosen without regard to where they are");
    }
}

fn validate_failover(failover: &[LocalityFailover], at: &mut Scope<'_>) {
    for (index, LocalityFailover { from, to }) in failover.iter().enumerate() {
        let mut at = at.item("failover", index);
        if from == to {
            at.conflict("a region cannot fail over to itself");
        }
        for (name, region) in [("from", from), ("to", to)] {
            if region.contains(['/', '*']) {
                at.field(name).invalid(region, "a region; zones and wildcards are not allowed in failover");
            }
        }
    }
}

fn check_locality(locality: &str, at: &mut Scope<'_>) {
    let parts: Vec<&str> = locality.split('/').collect();
    let star_inside = parts.iter().rev().skip(1).any(|part| part.contains('*'));
    if parts.len() > 3 || parts.iter().any(|part| part.is_empty()) || star_inside {
        at.invalid(locality, "a locality: region/zone/subzone, in which * may stand for the rest");
    }
}
