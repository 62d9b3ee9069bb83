//! One file per feature of an HTTP rule: what its fields mean, and what is wrong with them.

pub(crate) mod cors;
pub(crate) mod destination;
pub(crate) mod direct_response;
pub(crate) mod fault;
pub(crate) mod headers;
pub(crate) mod match_;
pub(crate) mod mirror;
pub(crate) mod reach;
pub(crate) mod redirect;
pub(crate) mod regex;
pub(crate) mod retry;
pub(crate) mod rewrite;
pub(crate) mod timeout;
