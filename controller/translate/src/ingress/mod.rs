//! Kubernetes Ingress (docs/semantics.md §17): servers like those of a Gateway, one group of routes per host, and one per
//! default backend.
//!
//! Routes of a host are put in order across all Ingresses, so that their unit is the host and not the object. What
//! becomes of servers that share a port is decided with the Gateways', in `gateway`.

mod backend;
mod class;
mod default_backend;
mod host;
mod path;
mod place;
mod servers;
mod status;
mod validate;

pub(crate) use class::is_served;
pub(crate) use default_backend::translate as default_backend;
pub(crate) use host::{translate as host, youngest};
pub(crate) use place::rule_hosts;
pub(crate) use servers::{IngressServers, same_servers, translate as servers};
pub use status::{IngressAddresses, ingress_addresses, ingress_selector, ingresses};
pub(crate) use validate::validate;
