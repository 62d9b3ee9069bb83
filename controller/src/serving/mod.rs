//! Sockets of the controller: TLS with certificates of our own authority that renew themselves, client certificates of
//! the mesh where they are offered, and an accept loop that a crowd of clients cannot overrun. Knows no protocol above.

mod admission;
mod certificate;
mod client;
mod connection;
mod listener;
mod tls;

pub use certificate::{Serving, ServingError};
pub use client::connect;
pub use connection::{Connection, PeerInfo};
pub use listener::{Incoming, Limits, Listener};
pub use tls::{Alpn, ClientCertificates, TlsError, tls};
