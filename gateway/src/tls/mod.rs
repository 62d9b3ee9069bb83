//! TLS towards clients.

pub(crate) mod certificate;
pub(crate) mod facts;
pub(crate) mod files;
pub(crate) mod server;
pub(crate) mod suites;
