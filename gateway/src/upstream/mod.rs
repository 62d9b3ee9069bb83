//! Where requests go: clusters, their endpoints, and the connections to them.

mod balance;
mod cluster;
mod endpoint;
mod guard;
mod peer;
mod pending;
pub(crate) mod resolve;
mod shared;

pub use cluster::Cluster;
pub use endpoint::Endpoint;
pub use guard::{AddressClass, AllowedEndpoints, AllowedError, Refused};

pub(crate) use endpoint::{Address, Busy};
pub(crate) use guard::Guard;
pub(crate) use peer::{Connected, Transport, Upstreams};
pub(crate) use shared::Stream;
