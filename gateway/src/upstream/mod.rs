//! Where requests go: clusters, their endpoints, and the connections to them.

mod balance;
mod cluster;
mod endpoint;
mod peer;
pub(crate) mod resolve;

pub use cluster::Cluster;
pub use endpoint::Endpoint;

pub(crate) use endpoint::{Address, Busy};
pub(crate) use peer::{Upstreams, local_address};
