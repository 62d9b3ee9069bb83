//! What a kind is called, in which versions it is served, and what `kubectl get` shows of it.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::networking::proxy_config::ProxyConfig;
use crate::telemetry::Telemetry;
use crate::{
    AuthorizationPolicy, DestinationRule, Gateway, ObjectKind, PeerAuthentication, RequestAuthentication, ServiceEntry,
    Sidecar, VirtualService, WorkloadEntry, WorkloadGroup,
};

/// A kind of Istio's.
pub(super) struct Kind {
    pub(super) kind: ObjectKind,
    pub(super) plural: &'static str,
    pub(super) short: &'static [&'static str],
    /// Makes the schema of its spec.
    pub(super) spec: fn(SchemaGenerator) -> Schema,
    /// The name of the spec's type.
    pub(super) type_name: &'static str,
    /// Whether an object without a spec is refused.
    pub(super) needs_spec: bool,
    /// Istio's columns, without the age.
    pub(super) columns: Vec<Column>,
    /// Whether proxies are told of it, so that there are columns for how far it has got.
    pub(super) is_pushed: bool,
}

/// A column of `kubectl get`.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) of: &'static str,
    pub(super) description: &'static str,
    /// Shown with `-o wide` only.
    pub(super) wide: bool,
}

const fn text(name: &'static str, path: &'static str, description: &'static str) -> Column {
    Column { name, path, of: "string", description, wide: false }
}

const fn number(name: &'static str, path: &'static str, description: &'static str) -> Column {
    Column { name, path, of: "number", description, wide: true }
}

/// How far an object has got.
pub(super) const PROGRESS: [Column; 4] = [
    text(
        "Programmed",
        r#".status.conditions[?(@.type=="Programmed")].status"#,
        "Whether every connected proxy that it concerns has its latest version in force",
    ),
    number("Proxies", ".status.propagation.proxies.total", "How many connected proxies it concerns"),
    number("Current", ".status.propagation.proxies.current", "How many of them have its latest version in force"),
    number(
        "P99",
        ".status.propagation.p99Ms",
        "Milliseconds from its change to a proxy having it in force, 99th percentile",
    ),
];

pub(super) const AGE: Column = Column {
    name: "Age",
    path: ".metadata.creationTimestamp",
    of: "date",
    description: "When it was created",
    wide: false,
};

fn spec<T: JsonSchema>(generator: SchemaGenerator) -> Schema {
    generator.into_root_schema_for::<T>()
}

/// Every kind.
pub(super) fn all() -> Vec<Kind> {
    const HOSTS: Column = text("Hosts", ".spec.hosts", "The hosts it is for");
    let kind = |kind: ObjectKind, plural, short, columns: &[Column]| Kind {
        kind,
        plural,
        short,
        columns: columns.to_vec(),
        spec: spec::<Gateway>,
        type_name: kind.as_str(),
        needs_spec: true,
        is_pushed: true,
    };
    vec![
        kind(ObjectKind::Gateway, "gateways", &["gw"], &[]),
        Kind {
            spec: spec::<VirtualService>,
            ..kind(
                ObjectKind::VirtualService,
                "virtualservices",
                &["vs"],
                &[text("Gateways", ".spec.gateways", "The gateways that apply its routes, mesh for sidecars"), HOSTS],
            )
        },
        Kind {
            spec: spec::<DestinationRule>,
            ..kind(
                ObjectKind::DestinationRule,
                "destinationrules",
                &["dr"],
                &[text("Host", ".spec.host", "The service it is for")],
            )
        },
        Kind {
            spec: spec::<ServiceEntry>,
            ..kind(
                ObjectKind::ServiceEntry,
                "serviceentries",
                &["se"],
                &[
                    HOSTS,
                    text("Location", ".spec.location", "Whether it runs outside or inside of the mesh"),
                    text("Resolution", ".spec.resolution", "How its endpoints are found"),
                ],
            )
        },
        Kind { spec: spec::<Sidecar>, ..kind(ObjectKind::Sidecar, "sidecars", &[], &[]) },
        Kind {
            spec: spec::<WorkloadEntry>,
            ..kind(
                ObjectKind::WorkloadEntry,
                "workloadentries",
                &["we"],
                &[text("Address", ".spec.address", "Where the workload is reached")],
            )
        },
        Kind {
            spec: spec::<WorkloadGroup>,
            is_pushed: false,
            ..kind(ObjectKind::WorkloadGroup, "workloadgroups", &["wg"], &[])
        },
        Kind {
            spec: spec::<ProxyConfig>,
            needs_spec: false,
            is_pushed: false,
            ..kind(ObjectKind::ProxyConfig, "proxyconfigs", &[], &[])
        },
        Kind {
            spec: spec::<PeerAuthentication>,
            needs_spec: false,
            ..kind(
                ObjectKind::PeerAuthentication,
                "peerauthentications",
                &["pa"],
                &[text("Mode", ".spec.mtls.mode", "What workloads accept")],
            )
        },
        Kind {
            spec: spec::<RequestAuthentication>,
            needs_spec: false,
            ..kind(ObjectKind::RequestAuthentication, "requestauthentications", &["ra"], &[])
        },
        Kind {
            spec: spec::<AuthorizationPolicy>,
            needs_spec: false,
            ..kind(
                ObjectKind::AuthorizationPolicy,
                "authorizationpolicies",
                &["ap"],
                &[text("Action", ".spec.action", "What happens to requests that match")],
            )
        },
        Kind {
            spec: spec::<Telemetry>,
            needs_spec: false,
            ..kind(ObjectKind::Telemetry, "telemetries", &["telemetry"], &[])
        },
    ]
}
