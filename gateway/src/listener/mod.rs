//! Sockets that clients connect to: they come and go while the proxy runs.

pub(crate) mod accept;
pub(crate) mod claim;
pub(crate) mod places;
pub(crate) mod reconcile;
pub(crate) mod sniff;
pub(crate) mod watched;
