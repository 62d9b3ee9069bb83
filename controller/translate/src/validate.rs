//! Admission: what Istio's schema and webhook say about an object by itself, and which of its fields are not acted on
//! yet.

use crds::{Body, Object};

use crate::report::{Problem, Report};
use crate::scope::Scope;
use crate::{destination_rule, gateway, mesh, service_entry, virtual_service};

/// Annotations that only the control plane may set.
const RESERVED: &str = "internal.istio.io/";
/// For AuthorizationPolicy alone.
const DRY_RUN: &str = "istio.io/dry-run";

/// Everything that is wrong with an object by itself. Errors refuse it; see [`crate::Problem::severity`].
#[must_use]
pub fn validate(object: &Object) -> Vec<Report> {
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
        Body::ConfigMap(_) => mesh::validate(object, &mut reports),
        Body::Service(_) | Body::EndpointSlice(_) | Body::Secret(_) | Body::Pod(_) | Body::Namespace | Body::Node => {
            return reports;
        }
    }
    validate_annotations(object, &mut reports);
    reports
}

fn validate_annotations(object: &Object, reports: &mut Vec<Report>) {
    let key = object.key();
    if matches!(object.body, Body::ConfigMap(_)) {
        return;
    }
    for name in object.meta.annotations.keys() {
        let problem = if name.starts_with(RESERVED) {
            Problem::Conflict { what: "annotations of internal.istio.io are set by the control plane only" }
        } else if name == DRY_RUN {
            Problem::Conflict { what: "istio.io/dry-run is allowed on AuthorizationPolicy only" }
        } else {
            continue;
        };
        reports.push(Report { object: key.clone(), field: format!("metadata.annotations[{name}]"), problem });
    }
}
