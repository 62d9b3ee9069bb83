//! A port of ours alone. Sockets that several threads share (SO_REUSEPORT) can be shared by other processes of the same
//! user, too: two gateways started by mistake on one port would each get half of its connections.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Holds a port against other gateways of this machine (of this network namespace) until dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    _socket: UnixDatagram,
}

impl Claim {
    /// Claims a TCP port, on whatever address.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`] if another gateway holds it.
    pub(crate) fn port(port: u16) -> io::Result<Self> {
        // Abstract names end with their socket, so nothing is left behind by a process that is killed.
        let name = SocketAddr::from_abstract_name(format!("sluice/tcp/{port}"))?;
        Ok(Self { _socket: UnixDatagram::bind_addr(&name)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_claimed_by_one_until_it_lets_go() {
        let claim = Claim::port(1).unwrap();
        assert_eq!(Claim::port(1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(claim);
        assert!(Claim::port(1).is_ok());
    }
}
