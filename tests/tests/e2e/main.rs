//! On a cluster with nodes: pods, Services, addresses. `make e2e` brings a cluster up and runs these; without one there is
//! nothing to run them on, so they are ignored.

#![allow(clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

mod canary;
mod charts;
mod ingress;
mod node;
mod observe;
