//! IST0107, IST0108: annotations of Istio's that do not exist, or mean nothing where they stand.

use crds::ObjectKind;

use super::Message;
use super::code::{MISPLACED_ANNOTATION, UNKNOWN_ANNOTATION};
use super::objects::Objects;

/// Where an annotation means something.
enum On {
    Any,
    Kinds(&'static [ObjectKind]),
}

use ObjectKind::{Namespace, Node, Pod, Service, ServiceEntry};

/// Domains whose annotations are Istio's.
const DOMAIN: &str = "istio.io";

const KNOWN: &[(&str, On)] = &[
    ("alpha.istio.io/identity", On::Kinds(&[Pod])),
    ("alpha.istio.io/kubernetes-serviceaccounts", On::Kinds(&[Service])),
    ("ambient.istio.io/bypass-inbound-capture", On::Kinds(&[Pod])),
    ("ambient.istio.io/dns-capture", On::Kinds(&[Pod])),
    ("ambient.istio.io/redirection", On::Kinds(&[Pod])),
    ("galley.istio.io/analyze-suppress", On::Any),
    ("inject.istio.io/templates", On::Kinds(&[Pod])),
    ("install.operator.istio.io/chart-owner", On::Any),
    ("install.operator.istio.io/owner-generation", On::Any),
    ("install.operator.istio.io/version", On::Any),
    ("istio.io/autoRegistrationGroup", On::Any),
    ("istio.io/connectedAt", On::Any),
    ("istio.io/disconnectedAt", On::Any),
    ("istio.io/dry-run", On::Kinds(&[ObjectKind::AuthorizationPolicy])),
    ("istio.io/for-host", On::Any),
    ("istio.io/rev", On::Any),
    ("istio.io/workloadController", On::Any),
    ("kubernetes.istio.io/serviceaccounts", On::Kinds(&[Service])),
    ("networking.istio.io/address-type", On::Any),
    ("networking.istio.io/exportTo", On::Kinds(&[Service])),
    ("networking.istio.io/service-type", On::Any),
    ("networking.istio.io/traffic-distribution", On::Kinds(&[Service, ServiceEntry])),
    ("prometheus.istio.io/merge-metrics", On::Kinds(&[Pod])),
    ("proxy.istio.io/config", On::Kinds(&[Pod])),
    ("proxy.istio.io/overrides", On::Kinds(&[Pod])),
    ("readiness.status.sidecar.istio.io/applicationPorts", On::Kinds(&[Pod])),
    ("readiness.status.sidecar.istio.io/failureThreshold", On::Kinds(&[Pod])),
    ("readiness.status.sidecar.istio.io/initialDelaySeconds", On::Kinds(&[Pod])),
    ("readiness.status.sidecar.istio.io/periodSeconds", On::Kinds(&[Pod])),
    ("security.istio.io/tlsMode", On::Any),
    ("sidecar.istio.io/agentLogLevel", On::Kinds(&[Pod])),
    ("sidecar.istio.io/bootstrapOverride", On::Kinds(&[Pod])),
    ("sidecar.istio.io/componentLogLevel", On::Kinds(&[Pod])),
    ("sidecar.istio.io/controlPlaneAuthPolicy", On::Kinds(&[Pod])),
    ("sidecar.istio.io/discoveryAddress", On::Kinds(&[Pod])),
    ("sidecar.istio.io/enableCoreDump", On::Kinds(&[Pod])),
    ("sidecar.istio.io/extraStatTags", On::Kinds(&[Pod])),
    ("sidecar.istio.io/inject", On::Kinds(&[Pod])),
    ("sidecar.istio.io/interceptionMode", On::Kinds(&[Pod])),
    ("sidecar.istio.io/logLevel", On::Kinds(&[Pod])),
    ("sidecar.istio.io/nativeSidecar", On::Kinds(&[Pod])),
    ("sidecar.istio.io/proxyCPU", On::Kinds(&[Pod])),
    ("sidecar.istio.io/proxyCPULimit", On::Kinds(&[Pod])),
    ("sidecar.istio.io/proxyImage", On::Kinds(&[Pod])),
    ("sidecar.istio.io/proxyImageType", On::Kinds(&[Pod])),
    ("sidecar.istio.io/proxyMemory", On::Kinds(&[Pod])),
    ("sidecar.istio.io/proxyMemoryLimit", On::Kinds(&[Pod])),
    ("sidecar.istio.io/rewriteAppHTTPProbers", On::Kinds(&[Pod])),
    ("sidecar.istio.io/statsCompression", On::Kinds(&[Pod])),
    ("sidecar.istio.io/statsEvictionInterval", On::Kinds(&[Pod])),
    ("sidecar.istio.io/statsHistogramBuckets", On::Kinds(&[Pod])),
    ("sidecar.istio.io/statsInclusionPrefixes", On::Kinds(&[Pod])),
    ("sidecar.istio.io/statsInclusionRegexps", On::Kinds(&[Pod])),
    ("sidecar.istio.io/statsInclusionSuffixes", On::Kinds(&[Pod])),
    ("sidecar.istio.io/status", On::Kinds(&[Pod])),
    ("sidecar.istio.io/userVolume", On::Kinds(&[Pod])),
    ("sidecar.istio.io/userVolumeMount", On::Kinds(&[Pod])),
    ("status.sidecar.istio.io/port", On::Kinds(&[Pod])),
    ("topology.istio.io/controlPlaneClusters", On::Kinds(&[Namespace])),
    ("topology.istio.io/network", On::Kinds(&[Namespace, Node, Pod])),
    ("traffic.istio.io/nodeSelector", On::Kinds(&[Service])),
    ("traffic.sidecar.istio.io/excludeInboundPorts", On::Kinds(&[Pod])),
    ("traffic.sidecar.istio.io/excludeInterfaces", On::Kinds(&[Pod])),
    ("traffic.sidecar.istio.io/excludeOutboundIPRanges", On::Kinds(&[Pod])),
    ("traffic.sidecar.istio.io/excludeOutboundPorts", On::Kinds(&[Pod])),
    ("traffic.sidecar.istio.io/includeInboundPorts", On::Kinds(&[Pod])),
    ("traffic.sidecar.istio.io/includeOutboundIPRanges", On::Kinds(&[Pod])),
    ("traffic.sidecar.istio.io/includeOutboundPorts", On::Kinds(&[Pod])),
    ("traffic.sidecar.istio.io/kubevirtInterfaces", On::Kinds(&[Pod])),
    ("traffic.sidecar.istio.io/rerouteVirtualInterfaces", On::Kinds(&[Pod])),
];

pub(super) fn analyze(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    for object in objects.world.objects() {
        let key = object.key();
        for name in object.meta.annotations.keys().filter(|name| is_istios(name)) {
            let field = format!("metadata.annotations[{name}]");
            match KNOWN.iter().find(|(known, _)| known == name) {
                None => messages.push(Message::new(
                    UNKNOWN_ANNOTATION,
                    key.clone(),
                    field,
                    format!("Unknown annotation: {name}"),
                )),
                // It is judged with the object (`crate::validate`).
                Some(("istio.io/dry-run", _)) => {}
                Some((_, On::Kinds(kinds))) if !kinds.contains(&key.kind) => {
                    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
                    let text = format!("Misplaced annotation: {name} can only be applied to {}", kinds.join(", "));
                    messages.push(Message::new(MISPLACED_ANNOTATION, key.clone(), field, text));
                }
                Some(_) => {}
            }
        }
    }
}

/// Those of `internal.istio.io` are judged with the object, too.
fn is_istios(name: &str) -> bool {
    let Some((domain, _)) = name.split_once('/') else { return false };
    let is_below = domain.strip_suffix(DOMAIN).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    is_below && domain != "internal.istio.io"
}
