//! What this machine makes different from the demo's files: ports that others hold. The files stay as they are; what
//! the gateway is told is adjusted on the way, as it would be by a Service that maps ports.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use ir::{Bind, EndpointAddress, Resource};

use super::ports;

/// Adjusts resources on their way to the gateway.
pub(crate) struct Overlay {
    bind: Option<IpAddr>,
    /// Port in the files → port on this machine, for every port seen so far.
    listeners: BTreeMap<u16, u16>,
    /// Address in the files → where the built-in backend is.
    endpoints: BTreeMap<SocketAddr, SocketAddr>,
    /// Where the last Gateway with TLS, and the last without, is found; 0 = nowhere yet.
    https: Arc<AtomicU16>,
    http: Arc<AtomicU16>,
}

/// A port of a Gateway that others hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) from: u16,
    pub(crate) to: u16,
}

impl Overlay {
    pub(crate) fn new(bind: Option<IpAddr>, endpoints: BTreeMap<SocketAddr, SocketAddr>) -> Self {
        Self { bind, listeners: BTreeMap::new(), endpoints, https: Arc::default(), http: Arc::default() }
    }

    /// The port on this machine that serves TLS, as it changes.
    pub(crate) fn https(&self) -> &Arc<AtomicU16> {
        &self.https
    }

    /// The port on this machine that serves plain HTTP, as it changes.
    pub(crate) fn http(&self) -> &Arc<AtomicU16> {
        &self.http
    }

    /// Where the port of a Gateway is found on this machine. The answer never changes while the demo runs.
    pub(crate) fn port(&mut self, wanted: u16) -> u16 {
        if let Some(&port) = self.listeners.get(&wanted) {
            return port;
        }
        let taken = |port: u16| self.listeners.values().any(|&other| other == port);
        let port = ports::free_or_next(self.bind, wanted, taken);
        self.listeners.insert(wanted, port);
        port
    }

    /// The delta for this machine, and which ports were moved by it.
    ///
    /// # Errors
    /// When a resource cannot be read; the delta comes from this process, so that is a bug.
    pub(crate) fn adjust(&mut self, mut delta: ir::Delta) -> Result<(ir::Delta, Vec<Moved>), ir::codec::DecodeError> {
        let mut moved = Vec::new();
        for encoded in &mut delta.changed {
            if !matches!(encoded.key.kind, ir::Kind::Listener | ir::Kind::Endpoints) {
                continue;
            }
            let mut resource = ir::codec::decode(encoded)?;
            if self.adjust_resource(&mut resource, &mut moved) {
                *encoded = ir::codec::encode(&resource);
            }
        }
        Ok((delta, moved))
    }

    /// Whether something was changed.
    fn adjust_resource(&mut self, resource: &mut Resource, moved: &mut Vec<Moved>) -> bool {
        match resource {
            Resource::Listener(listener) => {
                let port = match &mut listener.bind {
                    Bind::Port(port) => port,
                    Bind::Address(_) | Bind::Unix(_) => return false,
                };
                let known = self.listeners.contains_key(port);
                let (from, to) = (*port, self.port(*port));
                if from != to && !known {
                    moved.push(Moved { from, to });
                }
                *port = to;
                let served = if listener.tls.is_empty() { &self.http } else { &self.https };
                served.store(to, Ordering::Relaxed);
                from != to
            }
            Resource::Endpoints(endpoints) => {
                let mut changed = false;
                for endpoint in &mut endpoints.endpoints {
                    if let EndpointAddress::Socket(address) = &mut endpoint.address
                        && let Some(&actual) = self.endpoints.get(address)
                    {
                        changed |= actual != *address;
                        *address = actual;
                    }
                }
                changed
            }
            Resource::Settings(_)
            | Resource::Secret(_)
            | Resource::Cluster(_)
            | Resource::RouteGroup(_)
            | Resource::RouteTable(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use ir::{Endpoint, Endpoints, Listener};

    use super::*;

    fn listener(port: u16) -> Resource {
        let name = format!("0.0.0.0_{port}").into();
        Resource::Listener(Listener { name, bind: Bind::Port(port), created: 0, plaintext: None, tls: Vec::new() })
    }

    #[test]
    fn a_held_port_is_moved_once_and_told_once() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let held = holder.local_addr().unwrap().port();
        let mut overlay = Overlay::new(Some(Ipv4Addr::LOCALHOST.into()), BTreeMap::new());
        let delta = ir::Delta { changed: vec![ir::codec::encode(&listener(held))], removed: Vec::new() };
        let (first, moved) = overlay.adjust(delta.clone()).unwrap();
        assert_eq!(moved.len(), 1);
        let Resource::Listener(adjusted) = ir::codec::decode(&first.changed[0]).unwrap() else { panic!() };
        assert_eq!(adjusted.bind, Bind::Port(moved[0].to));
        assert_ne!(first.changed[0].version, delta.changed[0].version);
        drop(holder);
        let (second, moved) = overlay.adjust(delta).unwrap();
        assert_eq!((second, moved), (first, Vec::new()));
    }

    #[test]
    fn endpoints_follow_the_backends() {
        let wanted: SocketAddr = "127.0.0.1:9001".parse().unwrap();
        let actual: SocketAddr = "127.0.0.1:9003".parse().unwrap();
        let mut overlay = Overlay::new(None, [(wanted, actual)].into());
        let endpoint = |address| Endpoint { address: EndpointAddress::Socket(address), weight: 1 };
        let other: SocketAddr = "127.0.0.1:7000".parse().unwrap();
        let resource = Resource::Endpoints(Endpoints {
            cluster: "outbound|80||shop.internal".into(),
            endpoints: vec![endpoint(wanted), endpoint(other)],
        });
        let delta = ir::Delta { changed: vec![ir::codec::encode(&resource)], removed: Vec::new() };
        let (delta, _) = overlay.adjust(delta).unwrap();
        let Resource::Endpoints(endpoints) = ir::codec::decode(&delta.changed[0]).unwrap() else { panic!() };
        assert_eq!(endpoints.endpoints, vec![endpoint(actual), endpoint(other)]);
    }
}
