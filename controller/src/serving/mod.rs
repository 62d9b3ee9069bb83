//! Sockets of the controller: TLS with certificates of our own authority that renew themselves, client certificates of
//! the mesh where they are offered, and an accept loop that a crowd of clients cannot overrun. Knows nothing of what is served.

mod admission;
mod certificate;
mod client;
mod connection;
mod guarded;
mod listener;
mod plain;
mod register;
mod tls;

pub use certificate::{Serving, ServingError};
pub use client::connect;
pub use connection::{Connection, Handle, PeerInfo};
pub use guarded::Guarded;
pub use listener::{Incoming, Limits, Listener};
pub(crate) use plain::HEADER_LIST;
pub use plain::{Placed, Plain, PlainListener, Proof, serve_http};
pub(crate) use register::party;
pub use tls::{Alpn, ClientCertificates, TlsError, tls};
