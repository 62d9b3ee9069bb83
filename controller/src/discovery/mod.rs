//! What proxies are told, and how: in the same process by a channel, elsewhere by a stream of the protocol in
//! `gateway/ir/proto/discovery.proto`. Decides who gets what of a scope, never what is in it.

mod budget;
mod connection;
mod in_process;
mod life;
mod metered;
mod parts;
mod server;
mod size;
mod subscription;

pub use in_process::{Applied, Push};
pub(crate) use metered::Metered;
pub use server::{DiscoveryOptions, DiscoveryServer};
