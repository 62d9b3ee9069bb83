//! Ports that others hold: the demo takes the next one instead of giving up.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// How far to look. A machine with more neighbours than this has a different problem.
const TRIES: u16 = 50;

/// Binds the address, or the same with the first free port behind it.
pub(crate) fn bind_or_next(wanted: SocketAddr) -> io::Result<TcpListener> {
    let mut last = None;
    for port in candidates(wanted.port()) {
        match TcpListener::bind(SocketAddr::new(wanted.ip(), port)) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

/// The port, or the first one behind it that nobody holds on this address (`None`: on any address) and that `taken`
/// does not claim. The port itself where none is free: whoever binds it will say why that fails.
pub(crate) fn free_or_next(bind: Option<IpAddr>, wanted: u16, taken: impl Fn(u16) -> bool) -> u16 {
    candidates(wanted).find(|&port| !taken(port) && is_free(bind, port)).unwrap_or(wanted)
}

fn candidates(wanted: u16) -> impl Iterator<Item = u16> {
    wanted..=wanted.saturating_add(TRIES)
}

/// Whether nobody listens there. Other failures (no IPv6, not permitted) are not answered here.
fn is_free(bind: Option<IpAddr>, port: u16) -> bool {
    let held = |ip: IpAddr| {
        TcpListener::bind(SocketAddr::new(ip, port)).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    };
    match bind {
        Some(ip) => !held(ip),
        None => !held(Ipv4Addr::UNSPECIFIED.into()) && !held(Ipv6Addr::UNSPECIFIED.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_held_is_passed_over() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let held = holder.local_addr().unwrap();
        let next = bind_or_next(held).unwrap().local_addr().unwrap();
        assert!(next.port() > held.port());
        let bind = Some(held.ip());
        assert_ne!(free_or_next(bind, held.port(), |_| false), held.port());
        drop(holder);
        assert_eq!(free_or_next(bind, held.port(), |_| false), held.port());
        assert_ne!(free_or_next(bind, held.port(), |port| port == held.port()), held.port());
    }
}
