//! The data plane: accepts connections, routes requests, forwards them. Edge, inbound and outbound proxies differ in
//! the configuration they are given, not in code.
//!
//! [`start`] makes a running gateway that is told what to do by [`Gateway::apply`]; [`explain`] runs the same matching
//! without traffic. [`discovery::follow`] has it told by a controller. Nothing here knows of Kubernetes or of Istio's objects.

mod admin;
mod app;
mod descriptors;
pub mod discovery;
mod drain;
pub mod explain;
mod filter;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod identity;
pub mod limits;
mod listener;
mod proxy;
pub mod table;
pub mod telemetry;
mod tls;
pub mod upstream;
mod worker;

pub use app::{Addresses, Applied, Config, Gateway, StartError, start};
pub use listener::reconcile::ListenerEvent;
pub use telemetry::metrics::Metrics;
pub use tls::facts::{Facts, FactsError};
