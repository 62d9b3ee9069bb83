//! What holds for the proxy as a whole: from MeshConfig, its `defaultConfig`, and who the proxy is.

use std::time::Duration;

use crds::MeshConfig;
use crds::mesh_config::{AccessLogEncoding, NormalizationType, ProxyConfig, Topology};
use ir::{AccessLog, AccessLogFormat, Limits, PathNormalization, ProxySettings, WorkloadIdentity};

use crate::ProxyScope;
use crate::mesh::{Mesh, written_beyond};
use crate::report::Problem;
use crate::scope::Scope;

pub(crate) fn translate(mesh: &Mesh, proxy: &ProxyScope) -> ProxySettings {
    let config = &mesh.config;
    let topology = config.default_config.as_ref().and_then(|config| config.gateway_topology.as_ref());
    let trusted = topology.and_then(|topology| topology.num_trusted_proxies).unwrap_or(0);
    ProxySettings {
        workload: workload(proxy),
        access_log: access_log(config),
        path_normalization: path_normalization(config),
        trusted_proxies: u32::try_from(trusted).unwrap_or(0),
        limits: limits(config.default_config.as_ref()),
    }
}

fn workload(proxy: &ProxyScope) -> WorkloadIdentity {
    let label = |names: &[&str], otherwise: &str| {
        let found = names.iter().find_map(|name| proxy.labels.get(*name));
        found.map_or(otherwise, String::as_str).to_owned()
    };
    WorkloadIdentity {
        name: proxy.name.clone(),
        namespace: proxy.namespace.clone(),
        app: label(&["app"], ""),
        version: label(&["version"], ""),
        canonical_service: label(&["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"], &proxy.name),
        canonical_revision: label(
            &["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"],
            "latest",
        ),
        cluster: proxy.cluster.clone(),
    }
}

fn access_log(config: &MeshConfig) -> Option<AccessLog> {
    let path = config.access_log_file.clone().filter(|path| !path.is_empty())?;
    let custom = config.access_log_format.as_deref().filter(|text| !text.is_empty());
    let format = match (config.access_log_encoding, custom) {
        (AccessLogEncoding::Text, None) => AccessLogFormat::Text,
        (AccessLogEncoding::Json, None) => AccessLogFormat::Json,
        (AccessLogEncoding::Text, Some(text)) => match text.trim_end_matches('\n').parse() {
            Ok(format) => AccessLogFormat::Custom(format),
            // Reported by `validate`; a log in the usual form is better than none.
            Err(_) => AccessLogFormat::Text,
        },
        (AccessLogEncoding::Json, Some(text)) => match json_format(text) {
            Ok(fields) => AccessLogFormat::CustomJson(fields),
            Err(_) => AccessLogFormat::Json,
        },
    };
    Some(AccessLog { path, format })
}

/// A flat JSON object of formats.
fn json_format(text: &str) -> Result<Vec<(String, ir::format::Format)>, String> {
    let fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    let field = |(name, value): (String, serde_json::Value)| match value {
        serde_json::Value::String(text) => match text.parse() {
            Ok(format) => Ok((name, format)),
            Err(error) => Err(format!("{name}: {error}")),
        },
        other => Err(format!("{name}: {other} is not text")),
    };
    fields.into_iter().map(field).collect()
}

fn path_normalization(config: &MeshConfig) -> PathNormalization {
    match config.path_normalization.as_ref().map(|path| path.normalization).unwrap_or_default() {
        NormalizationType::Default | NormalizationType::Base => PathNormalization::Base,
        NormalizationType::None => PathNormalization::None,
        NormalizationType::MergeSlashes => PathNormalization::MergeSlashes,
        NormalizationType::DecodeAndMergeSlashes => PathNormalization::DecodeAndMergeSlashes,
    }
}

fn limits(config: Option<&ProxyConfig>) -> Limits {
    let mut limits = Limits::default();
    let Some(config) = config else { return limits };
    let set = |text: &Option<String>, limit: &mut Duration| {
        let parsed = text.as_deref().and_then(|text| crds::duration::parse(text).ok());
        if let Some(duration) = parsed.filter(|duration| !duration.is_zero()) {
            *limit = duration;
        }
    };
    set(&config.drain_duration, &mut limits.drain_timeout);
    if let Some(connection) = &config.connection_settings {
        set(&connection.http_idle_timeout, &mut limits.idle_timeout);
        set(&connection.http_request_headers_timeout, &mut limits.head_timeout);
        if let Some(streams) = connection.http_max_concurrent_streams.and_then(|count| u32::try_from(count).ok()) {
            limits.max_concurrent_streams = streams.max(1);
        }
        if let Some(count) = connection.listener_connection_limit.and_then(|count| usize::try_from(count).ok()) {
            limits.max_connections = count.max(1);
        }
    }
    limits
}

/// Fields of `defaultConfig` that change what an edge gateway does and are not acted on.
const NOT_YET: [&str; 3] = ["tracing", "proxyHeaders", "privateKeyProvider"];
/// Fields of `connectionSettings` that are acted on.
const CONNECTION: [&str; 4] =
    ["httpIdleTimeout", "httpRequestHeadersTimeout", "httpMaxConcurrentStreams", "listenerConnectionLimit"];

/// Checks the part of MeshConfig that this module reads.
pub(crate) fn validate(config: &MeshConfig, at: &mut Scope<'_>) {
    if let Some(text) = config.access_log_format.as_deref().filter(|text| !text.is_empty()) {
        let read = match config.access_log_encoding {
            AccessLogEncoding::Text => text.parse::<ir::format::Format>().err().map(|error| error.to_string()),
            AccessLogEncoding::Json => json_format(text).err(),
        };
        if let Some(error) = read {
            at.field("accessLogFormat").report(Problem::BadMeshConfig { error });
        }
    }
    let Some(config) = &config.default_config else { return };
    let mut at = at.field("defaultConfig");
    for name in written_beyond(config, &ProxyConfig::default()) {
        if NOT_YET.contains(&name.as_str()) {
            at.field(&name).not_supported("the default applies");
        }
    }
    if let Some(topology) = &config.gateway_topology {
        let Topology { num_trusted_proxies: _, forward_client_cert_details: _, proxy_protocol } = topology;
        if proxy_protocol.is_some() {
            at.field("gatewayTopology").field("proxyProtocol").not_supported("connections are taken as they come");
        }
    }
    if let Some(connection) = &config.connection_settings {
        let mut at = at.field("connectionSettings");
        for name in written_beyond(connection, &crds::mesh_config::ConnectionSettings::default()) {
            if !CONNECTION.contains(&name.as_str()) {
                at.field(&name).not_supported("the default applies");
            }
        }
    }
}
