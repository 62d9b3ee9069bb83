//! HTTP/1.1, strictly: one parse, nothing repaired (docs/security.md, "HTTP/1.1 framing"). What does not read as
//! exactly one message is refused, never guessed at.

pub(crate) mod body;
pub(crate) mod buffer;
pub(crate) mod client;
pub(crate) mod outbox;
pub(crate) mod parse;
pub(crate) mod server;
pub(crate) mod write;
