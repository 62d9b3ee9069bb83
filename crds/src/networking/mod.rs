//! The group networking.istio.io, in the versions v1, v1beta1 and v1alpha3, whose schemas are the same.

pub mod destination_rule;
pub mod gateway;
pub mod proxy_config;
pub mod service_entry;
pub mod sidecar;
pub mod virtual_service;
pub mod workload_entry;
pub mod workload_group;
