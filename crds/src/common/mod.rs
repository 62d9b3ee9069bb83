//! Value types that several kinds share.

pub mod duration;
pub(crate) mod enumeration;
pub mod selector;
pub mod string_match;
pub mod target;
