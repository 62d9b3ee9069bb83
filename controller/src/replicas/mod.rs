//! Several replicas of a controller serve proxies, one of them writes status. It asks the others how far their proxies
//! are, and makes one answer of all. Nothing of that is stored anywhere: a new leader asks anew.

mod client;
mod convert;
mod find;
mod merged;
mod server;

pub use client::{Access, follow};
pub use find::Find;
pub use merged::Merged;
pub use server::ReplicaService;
