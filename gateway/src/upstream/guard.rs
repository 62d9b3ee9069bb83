//! Which addresses endpoints may have (docs/security.md, C-10): nothing that belongs to the proxy or to its node, however
//! an object or a name server spells it. Judged when a cluster is built, after names were resolved; requests only ever see
//! endpoints that passed. Pure: whether an address is one of this host's is asked through a function.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::str::FromStr;

use ipnet::IpNet;

use crate::upstream::Address;

/// Kinds of addresses that are not for objects to name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AddressClass {
    Loopback,
    Unspecified,
    LinkLocal,
    /// Where clouds tell machines their credentials.
    Metadata,
    Multicast,
    Broadcast,
    /// Sockets of the file system and of the abstract name space.
    Unix,
}

impl AddressClass {
    const ALL: [Self; 7] = [
        Self::Loopback,
        Self::Unspecified,
        Self::LinkLocal,
        Self::Metadata,
        Self::Multicast,
        Self::Broadcast,
        Self::Unix,
    ];

    /// As in `--allow-endpoints`, and as a label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Unspecified => "unspecified",
            Self::LinkLocal => "link-local",
            Self::Metadata => "metadata",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Unix => "unix",
        }
    }
}

/// What an administrator allows beyond the rest of the network: the name of a class, or a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedEndpoints {
    Class(AddressClass),
    Network(IpNet),
}

/// Why text allows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is neither loopback, unspecified, link-local, metadata, multicast, broadcast or unix, nor a network such as \
     169.254.20.0/24"
)]
pub struct AllowedError {
    text: String,
}

impl FromStr for AllowedEndpoints {
    type Err = AllowedError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(class) = AddressClass::ALL.into_iter().find(|class| class.name() == text) {
            return Ok(Self::Class(class));
        }
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(|network| Self::Network(network.trunc())).map_err(|_| AllowedError { text: text.to_owned() })
    }
}

/// Why an endpoint is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    Class(AddressClass),
    /// The proxy's own admin, metrics or readiness port: no setting allows these.
    Own,
}

impl Refused {
    /// A label of metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Class(class) => class.name(),
            Self::Own => "own-port",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(class) => write!(f, "{} addresses are not allowed (--allow-endpoints)", class.name()),
            Self::Own => f.write_str("a port of the proxy itself"),
        }
    }
}

/// Judges endpoints of one process.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    allowed: Vec<AllowedEndpoints>,
    /// Ports of the proxy itself.
    own_ports: Vec<u16>,
    is_local: fn(IpAddr) -> bool,
}

impl Guard {
    /// `own`: where the proxy's own ports are bound.
    pub(crate) fn new(allowed: Vec<AllowedEndpoints>, own: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self { allowed, own_ports: own.into_iter().map(|address| address.port()).collect(), is_local }
    }

    /// Everything passes: of tables that nothing is connected by.
    pub(crate) fn open() -> Self {
        Self::new(AddressClass::ALL.into_iter().map(AllowedEndpoints::Class).collect(), [])
    }

    /// Whether an endpoint may be connected to.
    pub(crate) fn judge(&self, address: &Address) -> Result<(), Refused> {
        let (ip, port) = match address {
            Address::Unix(_) => return self.allowed_class(AddressClass::Unix),
            Address::Socket(address) => (address.ip(), address.port()),
        };
        // Every reading of the address has to pass: what a translator on the way makes of it reaches the same place.
        for ip in readings(ip) {
            let class = class_of(ip);
            let own = self.own_ports.contains(&port)
                && (matches!(class, Some(AddressClass::Loopback | AddressClass::Unspecified)) || (self.is_local)(ip));
            if own {
                return Err(Refused::Own);
            }
            if let Some(class) = class
                && !self.allowed_network(ip)
            {
                self.allowed_class(class)?;
            }
        }
        Ok(())
    }

    fn allowed_network(&self, ip: IpAddr) -> bool {
        self.allowed.iter().any(|allowed| match allowed {
            AllowedEndpoints::Network(network) => network.contains(&ip),
            AllowedEndpoints::Class(_) => false,
        })
    }

    fn allowed_class(&self, class: AddressClass) -> Result<(), Refused> {
        if self.allowed.contains(&AllowedEndpoints::Class(class)) { Ok(()) } else { Err(Refused::Class(class)) }
    }
}

/// The address itself, and the IPv4 address inside of it where there is one.
fn readings(ip: IpAddr) -> impl Iterator<Item = IpAddr> {
    let (itself, inside) = match ip {
        IpAddr::V4(_) => (Some(ip), [None; 2]),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            // The kernel takes these for IPv4.
            Some(v4) => (Some(IpAddr::V4(v4)), [None; 2]),
            None => (Some(ip), embedded(v6)),
        },
    };
    itself.into_iter().chain(inside.into_iter().flatten().map(IpAddr::V4))
}

/// IPv4 addresses that translators and tunnels find in an IPv6 address.
fn embedded(ip: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match (a, b) {
        // RFC 4291 §2.5.5.1, IPv4-compatible; `::` and `::1` have classes of their own.
        (0, 0) if [c, d, e, f] == [0; 4] && (g, h) != (0, 0) && (g, h) != (0, 1) => [v4(g, h), None],
        // RFC 2765, IPv4-translated.
        (0, 0) if [c, d, e, f] == [0, 0, 0xffff, 0] => [v4(g, h), None],
        // RFC 6052 and RFC 8215, NAT64.
        (0x64, 0xff9b) => [v4(g, h), None],
        // RFC 3056, 6to4.
        (0x2002, _) => [v4(b, c), None],
        // RFC 4380, Teredo: the server, and the client behind a mask.
        (0x2001, 0) => [v4(c, d), v4(!g, !h)],
        // RFC 5214, ISATAP.
        _ if matches!(e, 0 | 0x200) && f == 0x5efe => [v4(g, h), None],
        _ => [None; 2],
    }
}

/// The class of an address that is not for objects to name.
fn class_of(ip: IpAddr) -> Option<AddressClass> {
    match ip {
        IpAddr::V4(ip) => class_of_v4(ip),
        IpAddr::V6(ip) => class_of_v6(ip),
    }
}

fn class_of_v4(ip: Ipv4Addr) -> Option<AddressClass> {
    match ip.octets() {
        // AWS, Azure, GCP, OpenStack and most others; AWS' containers and pods; Tencent.
        [169, 254, 169, 253 | 254] | [169, 254, 170, 2 | 23] | [169, 254, 0, 23] |
        // Azure's wire server, Alibaba, Oracle.
        [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192] => Some(AddressClass::Metadata),
        // The kernel takes 0.0.0.0 for this host (RFC 1122 §3.2.1.3).
        [0, ..] => Some(AddressClass::Unspecified),
        [127, ..] => Some(AddressClass::Loopback),
        [169, 254, ..] => Some(AddressClass::LinkLocal),
        [224..=239, ..] => Some(AddressClass::Multicast),
        [255, 255, 255, 255] => Some(AddressClass::Broadcast),
        _ => None,
    }
}

fn class_of_v6(ip: Ipv6Addr) -> Option<AddressClass> {
    match ip.segments() {
        // AWS, GCP, Scaleway.
        [0xfd00, 0xec2, ..] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] | [0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42] => {
            Some(AddressClass::Metadata)
        }
        // OpenStack, which embeds 169.254.169.254.
        [0xfe80, .., 0xa9fe, 0xa9fe] => Some(AddressClass::Metadata),
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(AddressClass::Unspecified),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(AddressClass::Loopback),
        [0xfe80..=0xfebf, ..] => Some(AddressClass::LinkLocal),
        [0xff00..=0xffff, ..] => Some(AddressClass::Multicast),
        _ => None,
    }
}

/// Whether an address is one of this host's: only these can be bound. Asked for the few endpoints on the proxy's ports.
fn is_local(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allowed: &[&str]) -> Guard {
        let allowed = allowed.iter().map(|text| text.parse().unwrap()).collect();
        let own = ["127.0.0.1:15000".parse().unwrap(), "[::]:15020".parse().unwrap()];
        Guard { is_local: |ip| ip == IpAddr::from([10, 1, 2, 3]), ..Guard::new(allowed, own) }
    }

    fn judged(guard: &Guard, address: &str) -> &'static str {
        let address = match address.parse() {
            Ok(address) => Address::Socket(address),
            Err(_) => Address::Unix(address.to_owned()),
        };
        guard.judge(&address).map_or_else(Refused::name, |()| "")
    }

    #[test]
    fn what_belongs_to_the_proxy_or_its_node_is_refused_however_it_is_spelled() {
        let guard = guard(&[]);
        for (address, expected) in [
            ("10.0.0.1:80", ""),
            ("240.0.0.1:80", ""),
            ("[2001:db8::1]:80", ""),
            ("[fd00::1]:80", ""),
            ("127.0.0.1:80", "loopback"),
            ("127.9.9.9:80", "loopback"),
            ("[::1]:80", "loopback"),
            ("[::ffff:127.0.0.1]:80", "loopback"),
            ("[::127.0.0.1]:80", "loopback"),
            ("[::ffff:0:127.0.0.1]:80", "loopback"),
            ("[64:ff9b::7f00:1]:80", "loopback"),
            ("[64:ff9b:1::7f00:1]:80", "loopback"),
            ("[2002:7f00:1::1]:80", "loopback"),
            ("[2001:0:808:808::80ff:fffe]:80", "loopback"),
            ("[fd00::5efe:127.0.0.1]:80", "loopback"),
            ("0.0.0.0:80", "unspecified"),
            ("0.1.2.3:80", "unspecified"),
            ("[::]:80", "unspecified"),
            ("[::ffff:0.0.0.0]:80", "unspecified"),
            ("169.254.1.1:80", "link-local"),
            ("[fe80::1]:80", "link-local"),
            ("[febf::1]:80", "link-local"),
            ("169.254.169.254:80", "metadata"),
            ("[::ffff:169.254.169.254]:80", "metadata"),
            ("[64:ff9b::a9fe:a9fe]:80", "metadata"),
            ("[2002:a9fe:a9fe::]:80", "metadata"),
            ("[fd00:ec2::254]:80", "metadata"),
            ("[fe80::a9fe:a9fe]:80", "metadata"),
            ("100.100.100.200:80", "metadata"),
            ("168.63.129.16:80", "metadata"),
            ("224.0.0.1:80", "multicast"),
            ("[ff02::1]:80", "multicast"),
            ("255.255.255.255:80", "broadcast"),
            ("/run/x.sock", "unix"),
            ("@x", "unix"),
        ] {
            assert_eq!(judged(&guard, address), expected, "{address}");
        }
    }

    #[test]
    fn what_is_allowed_passes_but_never_the_proxys_own_ports() {
        let all = guard(&["loopback", "unspecified", "link-local", "unix", "0.0.0.0/0", "::/0"]);
        for (address, expected) in [
            ("127.0.0.1:80", ""),
            ("127.0.0.1:15000", "own-port"),
            ("127.1.1.1:15020", "own-port"),
            ("[::1]:15000", "own-port"),
            ("0.0.0.0:15000", "own-port"),
            ("[::]:15020", "own-port"),
            ("10.1.2.3:15000", "own-port"),
            ("[::ffff:10.1.2.3]:15020", "own-port"),
            ("[64:ff9b::7f00:1]:15000", "own-port"),
            ("10.1.2.4:15000", ""),
            ("10.1.2.3:80", ""),
            ("/run/x.sock", ""),
        ] {
            assert_eq!(judged(&all, address), expected, "{address}");
        }
        let some = guard(&["169.254.20.0/24"]);
        assert_eq!(judged(&some, "169.254.20.10:53"), "");
        assert_eq!(judged(&some, "169.254.21.10:53"), "link-local");
        assert_eq!(judged(&guard(&["link-local"]), "169.254.169.254:80"), "metadata");
    }

    #[test]
    fn texts_that_allow_nothing_are_refused() {
        for text in ["", "everything", "Loopback", "10.0.0.0/33"] {
            assert!(text.parse::<AllowedEndpoints>().is_err(), "{text}");
        }
        assert!(matches!("169.254.20.10".parse(), Ok(AllowedEndpoints::Network(_))));
    }
}
