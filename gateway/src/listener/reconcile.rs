//! Binds what the table wants and lets go of what it no longer wants.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Type};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::descriptors;
use crate::listener::claim::Claim;
use crate::table::Table;
use crate::worker::{Handle, Serve, Shared, Socket, Stop};

/// Connections the kernel holds until they are accepted.
const BACKLOG: i32 = 4096;

/// What happened to a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerEvent {
    /// `moved_from`: the port asked for, where it needs rights that the process lacks.
    Opened {
        name: ir::ListenerName,
        address: String,
        moved_from: Option<u16>,
    },
    Failed {
        name: ir::ListenerName,
        address: String,
        reason: String,
    },
    Closed {
        name: ir::ListenerName,
    },
}

/// How sockets are bound.
#[derive(Clone, Debug, Default)]
pub(crate) struct Binding {
    /// Instead of every address.
    pub(crate) address: Option<IpAddr>,
    /// Added to a port that may not be bound.
    pub(crate) move_privileged_by: Option<u16>,
    /// Ports to use instead of others (tests and demos: 0 = any free one).
    pub(crate) port_map: BTreeMap<u16, u16>,
}

struct Bound {
    bind: ir::Bind,
    stop: Stop,
    address: Option<SocketAddr>,
}

/// Everything bound.
pub(crate) struct Listeners {
    binding: Binding,
    shared: Arc<Shared>,
    bound: HashMap<ir::ListenerName, Bound>,
    failed: HashMap<ir::ListenerName, String>,
    /// By port; held by who serves its sockets.
    claims: HashMap<u16, Weak<Claim>>,
}

impl Listeners {
    pub(crate) fn new(binding: Binding, shared: Arc<Shared>) -> Self {
        Self { binding, shared, bound: HashMap::new(), failed: HashMap::new(), claims: HashMap::new() }
    }

    /// The addresses that are bound, by listener.
    pub(crate) fn addresses(&self) -> BTreeMap<ir::ListenerName, SocketAddr> {
        self.bound.iter().filter_map(|(name, bound)| Some((name.clone(), bound.address?))).collect()
    }

    /// Whether everything the table wants is bound.
    pub(crate) fn all_bound(&self) -> bool {
        self.failed.is_empty()
    }

    /// Whether anything is served, or there is nothing to serve. One port that cannot be bound must not take the others
    /// out of service.
    pub(crate) fn any_bound(&self) -> bool {
        self.failed.is_empty() || !self.bound.is_empty()
    }

    /// Makes the sockets those of the table. A listener that could not be bound is tried again every time.
    pub(crate) fn reconcile(&mut self, table: &Table, workers: &[Handle]) -> Vec<ListenerEvent> {
        let mut events = Vec::new();
        let stale: Vec<_> = self
            .bound
            .iter()
            .filter(|(name, bound)| table.listener(name).is_none_or(|listener| listener.bind != bound.bind))
            .map(|(name, _)| name.clone())
            .collect();
        for name in stale {
            if let Some(bound) = self.bound.remove(&name) {
                bound.stop.close();
                cut_after(table.limits().drain_timeout, bound.stop.abort);
                self.shared.metrics.listeners.with_label_values(&[name.as_str()]).set(0);
                info!(listener = %name, "listener closed");
                events.push(ListenerEvent::Closed { name });
            }
        }
        self.claims.retain(|_, claim| claim.strong_count() > 0);
        self.failed.retain(|name, _| table.listener(name).is_some());
        let mut wanted: Vec<_> = table.listeners().filter(|it| !self.bound.contains_key(&it.name)).collect();
        wanted.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        for listener in wanted {
            events.extend(self.open(&listener.name, &listener.bind, workers));
        }
        events
    }

    fn open(&mut self, name: &ir::ListenerName, bind: &ir::Bind, workers: &[Handle]) -> Option<ListenerEvent> {
        let stop = Stop::new(&self.shared);
        let opened = self.has_room(workers.len()).and_then(|()| match bind {
            ir::Bind::Unix(path) => unix(path).map(|socket| {
                // One queue: a unix socket cannot be bound more than once.
                let serve = Serve { name: name.clone(), socket: Socket::Unix(socket), stop: stop.clone(), claim: None };
                workers.first().map(|worker| worker.serve(serve));
                (path.display().to_string(), None, None)
            }),
            ir::Bind::Port(port) => self.tcp(name, self.any(), *port, workers, &stop),
            ir::Bind::Address(address) => self.tcp(name, address.ip(), address.port(), workers, &stop),
        });
        match opened {
            Ok((address, local, moved_from)) => {
                self.failed.remove(name);
                self.bound.insert(name.clone(), Bound { bind: bind.clone(), stop, address: local });
                self.shared.metrics.listeners.with_label_values(&[name.as_str()]).set(1);
                info!(listener = %name, address, moved_from, "listener open");
                Some(ListenerEvent::Opened { name: name.clone(), address, moved_from })
            }
            Err(error) => {
                self.shared.metrics.listeners.with_label_values(&[name.as_str()]).set(0);
                let (address, reason) = (shown(bind), error.to_string());
                // The same failure is told once, not with every change of the table.
                if self.failed.insert(name.clone(), reason.clone()).as_ref() == Some(&reason) {
                    return None;
                }
                warn!(listener = %name, address, error = reason, "listener cannot be bound");
                Some(ListenerEvent::Failed { name: name.clone(), address, reason })
            }
        }
    }

    /// Whether one more listener may be bound. What is bound already stays: it is older, or was when it came.
    fn has_room(&self, workers: usize) -> io::Result<()> {
        let most = self.shared.limits.listeners;
        if self.bound.len() >= most {
            return Err(io::Error::other(format!("this proxy has {most} listeners already (--limit listeners)")));
        }
        // One socket for each thread.
        if descriptors::allow((self.bound.len() + 1) * workers) {
            return Ok(());
        }
        Err(io::Error::other("the descriptors of this proxy are for connections; raise its limit on open files"))
    }

    /// "Every address", or the one this process is to stay on.
    fn any(&self) -> IpAddr {
        self.binding.address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
    }

    fn tcp(
        &mut self,
        name: &ir::ListenerName,
        ip: IpAddr,
        port: u16,
        workers: &[Handle],
        stop: &Stop,
    ) -> io::Result<(String, Option<SocketAddr>, Option<u16>)> {
        let asked = self.binding.port_map.get(&port).copied().unwrap_or(port);
        let ((sockets, claim), moved_from) = match self.bind_all(ip, asked, workers.len()) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let moved = self.binding.move_privileged_by.and_then(|by| asked.checked_add(by)).ok_or(error)?;
                (self.bind_all(ip, moved, workers.len())?, Some(port))
            }
            other => (other?, None),
        };
        let local = sockets.first().and_then(|socket| socket.local_addr().ok());
        for (worker, socket) in workers.iter().zip(sockets) {
            let (socket, stop, claim) = (Socket::Tcp(socket), stop.clone(), claim.clone());
            worker.serve(Serve { name: name.clone(), socket, stop, claim });
        }
        let shown = local.map_or_else(String::new, |local| local.to_string());
        Ok((shown, local, moved_from))
    }

    /// One socket per worker, all on the same port, so that the kernel spreads connections; nobody else's is there.
    fn bind_all(&mut self, ip: IpAddr, port: u16, count: usize) -> io::Result<(Vec<TcpListener>, Option<Arc<Claim>>)> {
        let claim = match self.claims.get(&port).and_then(Weak::upgrade) {
            // Ours already: on another address, or about to be closed.
            Some(claim) => Some(claim),
            None if port == 0 => None,
            None => {
                let claim = Arc::new(Claim::port(port)?);
                // Programs of other kinds are found out by asking for the port alone.
                drop(bind(ip, port, false)?);
                self.claims.insert(port, Arc::downgrade(&claim));
                Some(claim)
            }
        };
        let mut sockets: Vec<TcpListener> = Vec::with_capacity(count);
        let mut port = port;
        for _ in 0..count.max(1) {
            let socket = bind(ip, port, true)?;
            port = socket.local_addr()?.port();
            sockets.push(socket);
        }
        Ok((sockets, claim))
    }
}

/// Ends what is left of a listener that went away, in time.
fn cut_after(limit: Duration, abort: CancellationToken) {
    tokio::spawn(async move {
        tokio::time::sleep(limit).await;
        abort.cancel();
    });
}

fn shown(bind: &ir::Bind) -> String {
    match bind {
        ir::Bind::Port(port) => format!("port {port}"),
        ir::Bind::Address(address) => address.to_string(),
        ir::Bind::Unix(path) => path.display().to_string(),
    }
}

fn bind(ip: IpAddr, port: u16, shared: bool) -> io::Result<TcpListener> {
    let try_bind = |ip: IpAddr| -> io::Result<TcpListener> {
        let domain = if ip.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        if ip.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(shared)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::from(SocketAddr::new(ip, port)))?;
        if shared {
            socket.listen(BACKLOG)?;
        }
        Ok(socket.into())
    };
    match try_bind(ip) {
        // A machine without IPv6.
        Err(error)
            if ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                && !matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::AddrInUse) =>
        {
            try_bind(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
        }
        other => other,
    }
}

fn unix(path: &Path) -> io::Result<UnixListener> {
    use std::os::linux::net::SocketAddrExt as _;
    let text = path.to_string_lossy();
    let socket = match text.strip_prefix('@') {
        Some(name) => UnixListener::bind_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)?,
        None => {
            // A socket file that a former process left behind.
            if std::os::unix::net::UnixStream::connect(path).is_err() {
                let _ = std::fs::remove_file(path);
            }
            UnixListener::bind(path)?
        }
    };
    socket.set_nonblocking(true)?;
    Ok(socket)
}
