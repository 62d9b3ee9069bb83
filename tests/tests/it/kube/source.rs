//! The Kubernetes source against a real API server: everything arrives with the rights of the chart, and nothing is lost
//! or made up when connections, API server, etcd or definitions go away.

mod bench;
mod definitions;
mod faults;
mod rights;
