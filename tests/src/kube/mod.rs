//! A real Kubernetes control plane on loopback: etcd and kube-apiserver with RBAC, admission, CEL, TokenRequest,
//! TokenReview, Leases and webhooks, and the controller manager where a test needs what it does. No node: Pods are objects
//! that nobody runs. `tests/plane/build.sh` builds the binaries once per machine.
//!
//! Most tests share one ([`ControlPlane::shared`]) and work in a namespace of their own; tests that stop or starve it, or
//! install cluster-wide definitions that others would trip over, start a private one. It knows nothing of Sluice.

pub(crate) mod access;
mod apply;
mod assets;
mod audit;
mod daemon;
pub mod gateway;
pub mod mesh;
pub(crate) mod namespace;
mod plane;
mod tokens;
mod watchdog;

pub use apply::apply;
pub use audit::Call;
pub use namespace::Namespace;
pub use plane::{ControlPlane, Process, Setup};
