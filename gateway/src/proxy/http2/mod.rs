//! HTTP/2 by way of the `h2` crate.

pub(crate) mod rewind;
pub(crate) mod server;
