//! The group security.istio.io, in the versions v1 and v1beta1, whose schemas are the same.

pub mod authorization_policy;
pub mod peer_authentication;
pub mod request_authentication;
