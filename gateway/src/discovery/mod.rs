//! What the proxy is told, and by whom.

pub(crate) mod store;
