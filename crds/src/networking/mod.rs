//! The group networking.istio.io, in the versions v1, v1beta1 and v1alpha3, whose schemas are the same.

pub mod destination_rule;
pub mod gateway;
pub mod service_entry;
pub mod virtual_service;
pub mod workload_entry;
