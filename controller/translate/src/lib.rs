//! Objects to meaning: a pure function from what users wrote to what one proxy is told, and to everything users are
//! told about it.
//!
//! Two streams of reports, which do not overlap: [`validate`] says what is wrong with an object by itself, including
//! fields that are not acted on yet; [`Translator::reports`] says what is wrong with it among the others. Nothing
//! here does IO, reads a clock or draws a random number.

pub mod analyze;
mod attachment;
mod authorization_policy;
mod budget;
mod cluster;
mod delegate;
mod destination_rule;
mod endpoints;
mod export;
mod few;
mod gateway;
mod holders;
mod host_index;
mod hosts;
mod http_route;
mod ingress;
mod limits;
mod memo;
mod mesh;
mod names;
mod peer_authentication;
mod pem;
mod protocol;
mod proxy_config;
mod report;
mod request_authentication;
mod route;
mod scope;
mod secret;
mod service;
mod service_entry;
mod settings;
mod sidecar;
mod step;
#[doc(hidden)]
pub mod steps;
mod telemetry;
mod tenancy;
mod translator;
mod unit;
mod validate;
mod virtual_service;
mod workload;
mod world;

pub use ingress::{IngressAddresses, ingress_addresses, ingress_selector, ingresses};
pub use limits::TranslationLimits;
pub use report::{Level, Problem, Report, Severity};
pub use translator::{Translator, Update};
pub use validate::{unused, validate};
pub use world::{Change, Changes, World};

use std::collections::BTreeMap;

/// The proxy asked about. Everything visible, selected or merged is judged from where it stands
/// (docs/semantics.md §1.4, §2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyScope {
    /// Name of the workload, for metrics.
    pub name: String,
    pub namespace: String,
    /// Labels of its pods; Gateways and Services select by them.
    pub labels: BTreeMap<String, String>,
    /// Namespace of the control plane: holds ConfigMap `istio`, and is the root namespace unless that says otherwise.
    pub control_namespace: String,
    /// Name of the Kubernetes cluster, for metrics.
    pub cluster: String,
}

impl Default for ProxyScope {
    /// The ingress gateway of an ordinary installation.
    fn default() -> Self {
        let labels = [("app", "istio-ingressgateway"), ("istio", "ingressgateway")];
        Self {
            name: "istio-ingressgateway".to_owned(),
            namespace: "istio-system".to_owned(),
            labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            control_namespace: "istio-system".to_owned(),
            cluster: "Kubernetes".to_owned(),
        }
    }
}
