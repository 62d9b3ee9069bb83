//! What happens on the wire: YAML in, a real controller and a real gateway in process, bytes out.

#![allow(clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

mod http;
mod kube;
mod life;
mod limits_page;
mod properties;
mod tls;
