//! Admission: what Istio's schema and webhook say about an object by itself, and which of its fields are not acted on
//! yet.

use crds::{Body, Object, ObjectKind};

use crate::report::{Problem, Report, bound};
use crate::scope::{Scope, last_name};
use crate::{
    authorization_policy, destination_rule, gateway, ingress, mesh, peer_authentication, proxy_config,
    request_authentication, service_entry, sidecar, telemetry, virtual_service, workload,
};

/// Annotations that only the control plane may set.
const RESERVED: &str = "internal.istio.io/";
/// Most reports about an object by itself; among the others it is the limit reports-per-object.
const MOST_REPORTS: usize = 100;
/// For AuthorizationPolicy alone.
const DRY_RUN: &str = "istio.io/dry-run";

/// Everything that is wrong with an object by itself. Errors refuse it; see [`crate::Problem::severity`].
#[must_use]
pub fn validate(object: &Object) -> Vec<Report> {
    let mut reports = all(object);
    bound(&mut reports, MOST_REPORTS);
    reports
}

fn all(object: &Object) -> Vec<Report> {
    let mut reports = Vec::new();
    let key = object.key();
    let own = object.meta.namespace.as_str();
    let mut at = Scope::new(&key, "spec", &mut reports);
    match &object.body {
        Body::Gateway(spec) => {
            gateway::validate(spec, &mut at);
            gateway::validate_name(&object.meta.name, &mut Scope::new(&key, "metadata.name", &mut reports));
        }
        Body::VirtualService(spec) => virtual_service::validate(spec, own, &mut at),
        Body::DestinationRule(spec) => destination_rule::validate(spec, own, &mut at),
        Body::ServiceEntry(spec) => service_entry::validate(spec, own, &mut at),
        Body::Ingress(spec) => ingress::validate(spec, &mut at),
        Body::ConfigMap(_) => mesh::validate(object, &mut reports),
        Body::Sidecar(spec) => sidecar::validate(spec, &mut at),
        Body::WorkloadEntry(spec) => workload::validate_entry(spec, &mut at),
        Body::WorkloadGroup(spec) => workload::validate_group(spec, &mut at),
        Body::ProxyConfig(spec) => proxy_config::validate(spec, &mut at),
        Body::PeerAuthentication(spec) => peer_authentication::validate(spec, &mut at),
        Body::RequestAuthentication(spec) => request_authentication::validate(spec, &mut at),
        Body::AuthorizationPolicy(spec) => authorization_policy::validate(spec, &mut at),
        Body::Telemetry(spec) => telemetry::validate(spec, &mut at),
        Body::IngressClass(_)
        | Body::Service(_)
        | Body::EndpointSlice(_)
        | Body::Secret(_)
        | Body::Pod(_)
        | Body::Namespace
        | Body::Node => {
            return reports;
        }
    }
    if let Some(effect) = unused(key.kind) {
        let problem = Problem::NotSupportedYet { field: key.kind.to_string(), effect };
        reports.push(Report { object: key.clone(), field: String::new(), problem });
    }
    for field in &object.meta.unknown {
        let effect = "this version does not know the field, which has no effect";
        let problem = Problem::NotSupportedYet { field: last_name(field).to_owned(), effect };
        reports.push(Report { object: key.clone(), field: field.clone(), problem });
    }
    validate_annotations(object, &mut reports);
    reports
}

/// What it means for the user that objects of a kind are not acted on at all; nothing for kinds that are.
#[must_use]
pub fn unused(kind: ObjectKind) -> Option<&'static str> {
    Some(match kind {
        ObjectKind::AuthorizationPolicy => "requests are not checked against it, none is refused",
        ObjectKind::RequestAuthentication => "tokens are not checked against it, none is refused",
        ObjectKind::PeerAuthentication => "it makes no proxy accept or refuse anything",
        ObjectKind::Telemetry => "the access log and metrics stay as the mesh configuration says",
        ObjectKind::ProxyConfig => "proxies start with the mesh configuration's settings",
        ObjectKind::Sidecar => "there are no sidecars yet, and gateways pay no attention to it",
        ObjectKind::WorkloadEntry => "no service gets it as an endpoint",
        ObjectKind::WorkloadGroup => "no workload is registered by it",
        ObjectKind::Gateway
        | ObjectKind::VirtualService
        | ObjectKind::DestinationRule
        | ObjectKind::ServiceEntry
        | ObjectKind::Ingress
        | ObjectKind::IngressClass
        | ObjectKind::Service
        | ObjectKind::EndpointSlice
        | ObjectKind::Secret
        | ObjectKind::ConfigMap
        | ObjectKind::Pod
        | ObjectKind::Namespace
        | ObjectKind::Node => return None,
    })
}

fn validate_annotations(object: &Object, reports: &mut Vec<Report>) {
    let key = object.key();
    if matches!(object.body, Body::ConfigMap(_)) {
        return;
    }
    for (name, value) in &object.meta.annotations {
        let mut at = Scope::new(&key, format!("metadata.annotations[{name}]"), reports);
        if name.starts_with(RESERVED) {
            at.conflict("annotations of internal.istio.io are set by the control plane only");
        } else if name == DRY_RUN && key.kind == ObjectKind::AuthorizationPolicy {
            authorization_policy::validate_dry_run(value, &mut at);
        } else if name == DRY_RUN {
            at.conflict("istio.io/dry-run is allowed on AuthorizationPolicy only");
        }
    }
}
