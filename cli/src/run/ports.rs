//! The gateway's own ports: admin, metrics, readiness. One that is taken costs that port, not the gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use crate::args::RunArgs;
use crate::demo;
use crate::terminal::Terminal;

/// Where they are to be bound; `None` = not at all.
pub(crate) struct OwnPorts {
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) ready: Option<SocketAddr>,
}

impl OwnPorts {
    /// Finds out which can be had. A demo makes do with the next port; anything else may be scraped or probed at a
    /// fixed one, so that a clash is an error to be told.
    pub(crate) fn choose(args: &RunArgs, is_demo: bool, terminal: &Terminal) -> Self {
        // What is open to the world follows --bind; administration is for this machine alone.
        let open = args.bind.unwrap_or(Ipv6Addr::UNSPECIFIED.into());
        let mut taken = Vec::new();
        let mut choose = |what: &str, option: &str, ip: IpAddr, wanted: u16| {
            let mut port = wanted;
            if is_demo && wanted != 0 {
                port = demo::free_or_next(Some(ip), wanted, |port| taken.contains(&port));
                if port != wanted {
                    terminal.print(&demo::in_use(terminal.paint(), wanted, port));
                }
                taken.push(port);
            }
            usable(ip, port).map_err(|error| {
                let error = format!("the {what} port {port} cannot be bound ({error}); choose another with {option}");
                terminal.print(&format!("{} {error}", terminal.paint().red("error:")));
            })
        };
        Self {
            admin: choose("admin", "--admin-port", Ipv4Addr::LOCALHOST.into(), args.admin_port).ok(),
            metrics: choose("metrics", "--metrics-port", open, args.metrics_port).ok(),
            ready: choose("readiness", "--ready-port", open, args.ready_port).ok(),
        }
    }
}

/// The address, if it can be bound; the IPv4 one on a machine without IPv6.
fn usable(ip: IpAddr, port: u16) -> std::io::Result<SocketAddr> {
    let address = SocketAddr::new(ip, port);
    match TcpListener::bind(address) {
        Ok(_) => Ok(address),
        Err(error)
            if ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                && !matches!(error.kind(), std::io::ErrorKind::AddrInUse | std::io::ErrorKind::PermissionDenied) =>
        {
            usable(Ipv4Addr::UNSPECIFIED.into(), port)
        }
        Err(error) => Err(error),
    }
}

/// Where a client on this machine reaches an address.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()) } else { address }
}
