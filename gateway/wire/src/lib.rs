//! The protocols between a proxy and its controller as both ends see them: messages, clients and servers generated from
//! the `.proto` files, and the way between messages and the types of `ir`. No policy: who may ask for what, and when
//! something is sent, is decided at the ends.

pub mod bounded;
pub mod convert;
pub mod digest;
pub mod hello;

/// Configuration: `gateway/ir/proto/discovery.proto`.
pub mod discovery {
    #![allow(missing_docs, clippy::all, clippy::unwrap_used)]
    tonic::include_proto!("sluice.discovery.v1");
}

/// Istio's certificate signing service: `gateway/wire/proto/ca.proto`.
pub mod ca {
    #![allow(missing_docs, clippy::all, clippy::unwrap_used)]
    tonic::include_proto!("istio.v1.auth");
}

/// What replicas of a controller ask each other: `gateway/wire/proto/replica.proto`.
pub mod replica {
    #![allow(missing_docs, clippy::all, clippy::unwrap_used)]
    tonic::include_proto!("sluice.replica.v1");
}
