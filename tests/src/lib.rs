//! What tests of more than one crate share: a real controller and a real gateway in process on free ports, backends
//! that say what they saw, clients that show every byte.

pub mod backend;
pub mod client;
pub mod cluster;
pub mod edge;
pub mod fuzz;
pub mod grpc;
pub mod h2_origin;
pub mod kube;
pub mod load;
pub mod log;
pub mod pki;
pub mod proxy;
pub mod raw;
pub mod wait;

pub use backend::Backend;
pub use client::{H1, Reply};
pub use cluster::Cluster;
pub use edge::Edge;
pub use grpc::GrpcBackend;
pub use h2_origin::H2Origin;
pub use load::Load;
pub use log::AccessLog;
pub use raw::Raw;
pub use wait::until;
