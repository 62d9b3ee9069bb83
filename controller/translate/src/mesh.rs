//! Settings for the whole mesh that translations depend on: key `mesh` of ConfigMap `istio` (docs/semantics.md §15.14).

use std::time::Duration;

use crds::mesh_config::{MeshH2UpgradePolicy, Tenancy};
use crds::{Body, ConnectionPoolSettings, HttpRetry, MeshConfig, Object, ObjectKey, ObjectKind};

use crate::ProxyScope;
use crate::report::{Problem, Report};
use crate::scope::Scope;

/// Name of the ConfigMap, and the key in it.
const CONFIG_MAP: &str = "istio";
const KEY: &str = "mesh";
/// The settings as a field of that object.
pub(crate) const FIELD: &str = "data.mesh";

/// MeshConfig with its defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mesh {
    pub(crate) config: MeshConfig,
    pub(crate) root_namespace: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) dns_refresh: Duration,
    pub(crate) retry: Option<HttpRetry>,
    pub(crate) h2_upgrade: bool,
    /// Whether namespaces are kept apart better than Istio does (docs/semantics.md §1.9).
    pub(crate) strict: bool,
    pub(crate) connection_pool: Option<ConnectionPoolSettings>,
}

impl Mesh {
    pub(crate) fn new(config: MeshConfig, proxy: &ProxyScope) -> Self {
        let duration = |text: &Option<String>, default: u64| {
            let parsed = text.as_deref().and_then(|text| crds::duration::parse(text).ok());
            parsed.filter(|duration| !duration.is_zero()).unwrap_or(Duration::from_secs(default))
        };
        let root = config.root_namespace.clone().filter(|namespace| !namespace.is_empty());
        Self {
            root_namespace: root.unwrap_or_else(|| proxy.control_namespace.clone()),
            connect_timeout: duration(&config.connect_timeout, 10),
            dns_refresh: duration(&config.dns_refresh_rate, 60),
            retry: config.default_http_retry_policy.clone(),
            strict: config.tenancy == Tenancy::Strict,
            h2_upgrade: config.h2_upgrade_policy == MeshH2UpgradePolicy::Upgrade,
            connection_pool: config.default_traffic_policy.as_ref().and_then(|policy| policy.connection_pool.clone()),
            config,
        }
    }
}

/// The object that holds the settings.
pub(crate) fn object_key(proxy: &ProxyScope) -> ObjectKey {
    ObjectKey::new(ObjectKind::ConfigMap, &proxy.control_namespace, CONFIG_MAP)
}

/// Whether an object could be the one that holds the settings.
pub(crate) fn is_mesh_config(key: &ObjectKey) -> bool {
    key.kind == ObjectKind::ConfigMap && key.name == CONFIG_MAP
}

/// Reads the settings from their object.
pub(crate) fn read(object: Option<&Object>) -> Result<MeshConfig, Box<Report>> {
    let Some(object) = object else { return Ok(MeshConfig::default()) };
    let Body::ConfigMap(map) = &object.body else { return Ok(MeshConfig::default()) };
    let Some(text) = map.data.get(KEY) else { return Ok(MeshConfig::default()) };
    crds::yaml::read_mesh_config(text).map(|read| read.config).map_err(|errors| {
        let error = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let (object, field) = (object.key(), format!("data.{KEY}"));
        Box::new(Report { object, field, problem: Problem::BadMeshConfig { error } })
    })
}

/// Fields that are acted on, or concern nothing that an edge gateway does.
const NO_REPORT: [&str; 37] = [
    "accessLogEncoding",
    "accessLogFile",
    "accessLogFormat",
    "caCertificates",
    "certificates",
    "configSources",
    "connectTimeout",
    "defaultConfig",
    "defaultDestinationRuleExportTo",
    "defaultHttpRetryPolicy",
    "defaultProviders",
    "defaultServiceExportTo",
    "defaultTrafficPolicy",
    "defaultVirtualServiceExportTo",
    "dnsRefreshRate",
    "enableAutoMtls",
    "enablePrometheusMerge",
    "extensionProviders",
    "gatewayNamespaces",
    "h2UpgradePolicy",
    "hboneIdleTimeout",
    "inboundClusterStatName",
    "inboundTrafficPolicy",
    "ingressClass",
    "ingressControllerMode",
    "ingressSelector",
    "ingressService",
    "meshMTLS",
    "outboundTrafficPolicy",
    "pathNormalization",
    "proxyInboundListenPort",
    "proxyListenPort",
    "rootNamespace",
    "scopeGatewayToNamespace",
    "tenancy",
    "trustDomain",
    "trustDomainAliases",
];

/// Checks ConfigMap `istio`; other ConfigMaps mean nothing.
pub(crate) fn validate(object: &Object, reports: &mut Vec<Report>) {
    let key = object.key();
    let Body::ConfigMap(map) = &object.body else { return };
    let Some(text) = map.data.get(KEY).filter(|_| is_mesh_config(&key)) else { return };
    let read = match crds::yaml::read_mesh_config(text) {
        Ok(read) => read,
        Err(_) => return reports.extend(self::read(Some(object)).err().map(|report| *report)),
    };
    let mut at = Scope::new(&key, format!("data.{KEY}"), reports);
    for path in &read.unknown {
        at.field(path).no_effect("there is no such field in MeshConfig");
    }
    let MeshConfig { connect_timeout, dns_refresh_rate, default_http_retry_policy, default_traffic_policy, .. } =
        &read.config;
    for (name, text) in [("connectTimeout", connect_timeout), ("dnsRefreshRate", dns_refresh_rate)] {
        if let Some(text) = text {
            at.field(name).duration(text);
        }
    }
    if let Some(retry) = default_http_retry_policy {
        crate::route::retry::validate(retry, &mut at.field("defaultHttpRetryPolicy"));
    }
    if let Some(policy) = default_traffic_policy {
        let mut at = at.field("defaultTrafficPolicy");
        if let Some(pool) = &policy.connection_pool {
            crate::destination_rule::validate_connection_pool(pool, &mut at.field("connectionPool"));
        }
        if policy.outlier_detection.is_some() {
            at.field("outlierDetection").not_supported("no endpoint is ejected");
        }
    }
    for name in written_beyond(&read.config, &MeshConfig::default()) {
        if !NO_REPORT.contains(&name.as_str()) {
            at.field(&name).not_supported("the default applies");
        }
    }
    crate::settings::validate(&read.config, &mut at);
}

/// Names of the fields that differ from their default.
pub(crate) fn written_beyond<T: serde::Serialize>(value: &T, default: &T) -> Vec<String> {
    let (Ok(serde_json::Value::Object(value)), Ok(default)) =
        (serde_json::to_value(value), serde_json::to_value(default))
    else {
        return Vec::new();
    };
    value.into_iter().filter(|(name, value)| default.get(name) != Some(value)).map(|(name, _)| name).collect()
}
