//! What is checked about `connectionPool` and `outlierDetection` (docs/semantics.md §4.6, §4.7).

use std::time::Duration;

use crds::{
    ConnectionKeepalive, ConnectionPoolSettings, H2UpgradePolicy, HttpSettings, OutlierDetection, TcpKeepalive,
    TcpSettings,
};

use crate::report::Problem;
use crate::scope::Scope;

const MILLISECOND: Duration = Duration::from_millis(1);

/// Limits on connections; of these the timeouts and the choice of HTTP version are acted on.
pub(crate) fn validate_connection_pool(pool: &ConnectionPoolSettings, at: &mut Scope<'_>) {
    let ConnectionPoolSettings { tcp, http } = pool;
    if tcp.is_none() && http.is_none() {
        at.missing("a connection pool must have tcp or http settings");
    }
    if let Some(TcpSettings {
        max_connections,
        connect_timeout,
        tcp_keepalive,
        max_connection_duration,
        idle_timeout,
    }) = tcp
    {
        let mut at = at.field("tcp");
        limit(*max_connections, "maxConnections", &mut at);
        if let Some(text) = connect_timeout {
            at.field("connectTimeout").duration_of_at_least(text, MILLISECOND);
        }
        if let Some(TcpKeepalive { probes, time, interval }) = tcp_keepalive {
            let mut at = at.field("tcpKeepalive");
            non_negative(*probes, &mut at.field("probes"));
            for (name, text) in [("time", time), ("interval", interval)] {
                if let Some(text) = text {
                    at.field(name).duration(text);
                }
            }
            at.not_supported("idle connections are probed as the system does");
        }
        if let Some(text) = max_connection_duration {
            let mut at = at.field("maxConnectionDuration");
            at.duration_of_at_least(text, MILLISECOND);
            at.not_supported("connections live as long as they are used");
        }
        if let Some(text) = idle_timeout {
            at.field("idleTimeout").duration(text);
        }
    }
    if let Some(http) = http {
        validate_http_settings(http, &mut at.field("http"));
    }
}

fn validate_http_settings(http: &HttpSettings, at: &mut Scope<'_>) {
    let HttpSettings {
        http1_max_pending_requests,
        http2_max_requests,
        max_requests_per_connection,
        max_retries,
        idle_timeout,
        h2_upgrade_policy,
        use_client_protocol,
        max_concurrent_streams,
        http2_keep_alive,
    } = http;
    if *http == HttpSettings::default() {
        at.missing("http settings must have at least one field");
    }
    for (name, value) in [
        ("http1MaxPendingRequests", http1_max_pending_requests),
        ("http2MaxRequests", http2_max_requests),
        ("maxRequestsPerConnection", max_requests_per_connection),
        ("maxRetries", max_retries),
        ("maxConcurrentStreams", max_concurrent_streams),
    ] {
        limit(*value, name, at);
    }
    if let Some(text) = idle_timeout {
        at.field("idleTimeout").duration(text);
    }
    if *use_client_protocol == Some(true) && *h2_upgrade_policy == H2UpgradePolicy::Upgrade {
        at.field("useClientProtocol").conflict("useClientProtocol and h2UpgradePolicy UPGRADE exclude each other");
    }
    if let Some(ConnectionKeepalive { interval, timeout }) = http2_keep_alive {
        let mut at = at.field("http2KeepAlive");
        for (name, text) in [("interval", interval), ("timeout", timeout)] {
            match text {
                Some(text) => _ = at.field(name).duration(text),
                None => at.field(name).missing("keep-alive needs an interval and a timeout"),
            }
        }
        at.not_supported("connections are not pinged");
    }
}

/// A limit that is checked and not yet acted on; 0 means the default and needs no report.
fn limit(value: Option<i64>, name: &str, at: &mut Scope<'_>) {
    let mut at = at.field(name);
    non_negative(value, &mut at);
    if value.is_some_and(|value| value > 0) {
        at.not_supported("there is no limit");
    }
}

pub(super) fn non_negative(value: Option<i64>, at: &mut Scope<'_>) {
    if let Some(value) = value {
        at.range(value, 0, i64::from(u32::MAX));
    }
}

pub(super) fn validate_outlier(outlier: &OutlierDetection, at: &mut Scope<'_>) {
    let OutlierDetection {
        consecutive_errors,
        split_external_local_origin_errors,
        consecutive_local_origin_failures,
        consecutive_gateway_errors,
        consecutive_5xx_errors,
        interval,
        base_ejection_time,
        max_ejection_percent,
        min_health_percent,
        outlier_detection_http_error_codes,
    } = outlier;
    if consecutive_errors.is_some() {
        at.field("consecutiveErrors").report(Problem::Deprecated {
            what: "consecutiveErrors",
            instead: "it has no effect; use consecutive5xxErrors or consecutiveGatewayErrors",
        });
    }
    if consecutive_local_origin_failures.is_some() && !split_external_local_origin_errors {
        at.field("consecutiveLocalOriginFailures")
            .conflict("consecutiveLocalOriginFailures needs splitExternalLocalOriginErrors: true");
    }
    for (name, value) in [
        ("consecutiveErrors", consecutive_errors),
        ("consecutiveLocalOriginFailures", consecutive_local_origin_failures),
        ("consecutiveGatewayErrors", consecutive_gateway_errors),
        ("consecutive5xxErrors", consecutive_5xx_errors),
    ] {
        non_negative(*value, &mut at.field(name));
    }
    for (name, text) in [("interval", interval), ("baseEjectionTime", base_ejection_time)] {
        if let Some(text) = text {
            at.field(name).duration_of_at_least(text, MILLISECOND);
        }
    }
    for (name, value) in [("maxEjectionPercent", max_ejection_percent), ("minHealthPercent", min_health_percent)] {
        if let Some(value) = value {
            at.field(name).range(*value, 0, 100);
        }
    }
    for (index, code) in outlier_detection_http_error_codes.iter().enumerate() {
        at.item("outlierDetectionHttpErrorCodes", index).range(*code, 100, 599);
    }
    at.not_supported("no endpoint is ejected");
}
