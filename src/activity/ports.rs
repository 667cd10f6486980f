//! The guest's own servers and clients: what the kernel knows of their TCP traffic.
//!
//! Connections between two programs of the guest do not count, and neither do those to the agent. Traffic is told by
//! the connection that it went through, so one that came and went between two looks left nothing to be found but a
//! number in the kernel's statistics: see [`Scan::opens`]. UDP is not seen, nor are other network namespaces, except by
//! what they send through this one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::load::start_of;
use crate::sys::netlink::diag::Connection;
use crate::sys::netlink::{Family, Follow, Socket, traffic};

/// Ports that are told of; a guest that listens on more has lost count itself.
const PORTS_TOLD: usize = 64;

/// Tells of one port on which the guest listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub port: u16,
    /// Connections from outside.
    pub established: usize,
    /// How long ago the last data came through one of them, or the last one was made.
    pub last_received: Option<Duration>,
    /// Bytes that came through those that are open.
    pub bytes_received: u64,
}

/// Tells of all connections with the outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// The ports that the guest listens on, the lowest 64.
    pub listening: Vec<Port>,
    /// Connections from outside to any of them.
    pub inbound: usize,
    /// How long ago data last came from outside through one that is open.
    pub last_inbound: Option<Duration>,
    /// Connections to outside.
    pub outbound: usize,
    /// How long ago data last went either way through one that is open.
    pub last_outbound: Option<Duration>,
}

/// Looks at connections.
#[derive(Debug)]
pub(super) struct Scan {
    /// Ports of the agent.
    own: Vec<u16>,
    opens: Mutex<Opens>,
}

/// Remembers how many connections from outside there had been.
#[derive(Debug, Default)]
struct Opens(Option<i64>);

impl Scan {
    pub(super) fn new(own: Vec<u16>) -> Self {
        Self { own, opens: Mutex::default() }
    }

    /// Looks now; where the kernel cannot tell, there is nothing.
    pub(super) fn look(&self) -> Ports {
        self.try_look().unwrap_or_else(|error| {
            tracing::debug!(%error, "connections cannot be listed");
            Ports::default()
        })
    }

    fn try_look(&self) -> std::io::Result<Ports> {
        let mut socket = Socket::open(Family::Sockets, Follow::Nothing)?;
        let mut ports = BTreeMap::new();
        traffic::listeners(&mut socket, |port| {
            if !self.own.contains(&port) {
                ports.insert(port, Port { port, ..Port::default() });
            }
        })?;
        let mut found = Ports::default();
        traffic::established(&mut socket, |connection, traffic| {
            let local = connection.local().port();
            if self.own.contains(&local) || is_inside(connection) {
                return;
            }
            match ports.get_mut(&local) {
                Some(port) => {
                    port.established += 1;
                    port.bytes_received += traffic.bytes_received;
                    port.last_received = latest(port.last_received, traffic.received);
                    found.inbound += 1;
                    found.last_inbound = latest(found.last_inbound, traffic.received);
                }
                None => {
                    found.outbound += 1;
                    found.last_outbound = latest(found.last_outbound, traffic.received.min(traffic.sent));
                }
            }
        })?;
        found.listening = ports.into_values().take(PORTS_TOLD).collect();
        Ok(found)
    }

    /// Says whether connections from outside were made since the last call that may be gone again.
    ///
    /// The kernel counts those that were accepted (PassiveOpens) and those that were begun here (ActiveOpens). One within
    /// the guest is both, and `accepted` were for the agent; what is left came from outside. Connections to outside hide
    /// as many of those: they are found only while they are open.
    pub(super) fn opens(&self, accepted: u64) -> bool {
        let text = start_of("/proc/thread-self/net/snmp".as_ref()).unwrap_or_default();
        let Some((active, passive)) = counted(&text) else { return false };
        self.opens.lock().unwrap_or_else(PoisonError::into_inner).grew(active, passive, accepted)
    }
}

impl Opens {
    fn grew(&mut self, active: i64, passive: i64, accepted: u64) -> bool {
        let now = passive - active - i64::try_from(accepted).unwrap_or(i64::MAX / 2);
        self.0.replace(now).is_some_and(|before| now > before)
    }
}

/// Says whether both ends are in the guest.
fn is_inside(connection: &Connection) -> bool {
    let peer: IpAddr = connection.peer().ip();
    peer.is_loopback() || peer == connection.local().ip()
}

fn latest(known: Option<Duration>, ago: Duration) -> Option<Duration> {
    Some(known.map_or(ago, |known| known.min(ago)))
}

/// Reads ActiveOpens and PassiveOpens (proc_net_snmp, RFC 4022): a line of names and a line of numbers.
fn counted(text: &str) -> Option<(i64, i64)> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let find = |name: &str| {
        let at = names.split(' ').position(|found| found == name)?;
        numbers.split(' ').nth(at)?.parse().ok()
    };
    Some((find("ActiveOpens")?, find("PassiveOpens")?))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::sys::namespace::apart;
    use crate::sys::netlink::scratch::{address, up};

    /// Connects from an address of the test's choice.
    fn dial(from: &str, to: SocketAddr) -> TcpStream {
        let SocketAddr::V4(to) = to else { panic!("IPv4 only") };
        let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(fd.as_raw_fd(), &SockaddrIn::from(format!("{from}:0").parse::<std::net::SocketAddrV4>().unwrap()))
            .unwrap();
        connect(fd.as_raw_fd(), &SockaddrIn::from(to)).unwrap();
        TcpStream::from(fd)
    }

    /// A network in which 10.9.0.2 is outside as far as anybody can see.
    fn network<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        apart(|| {
            up("lo");
            address("lo", "10.9.0.1", 32);
            address("lo", "10.9.0.2", 32);
            work()
        })
    }

    #[test]
    fn traffic_from_outside_is_told_by_port_and_what_is_inside_is_not() {
        let (ports, user) = network(|| {
            let (server, agent) = (TcpListener::bind("0.0.0.0:0").unwrap(), TcpListener::bind("0.0.0.0:0").unwrap());
            let (user, own) = (server.local_addr().unwrap().port(), agent.local_addr().unwrap().port());
            let mut open = Vec::new();
            for (from, to, port) in [
                ("10.9.0.2", "10.9.0.1", user),
                ("10.9.0.2", "10.9.0.1", own),
                ("10.9.0.1", "10.9.0.1", user),
                ("127.0.0.1", "127.0.0.1", user),
            ] {
                let mut client = dial(from, format!("{to}:{port}").parse().unwrap());
                let (mut far, _) = if port == user { server.accept().unwrap() } else { agent.accept().unwrap() };
                client.write_all(b"hello").unwrap();
                far.read_exact(&mut [0; 5]).unwrap();
                open.push((client, far));
            }
            (Scan::new(vec![own]).look(), user)
        });
        let [port] = ports.listening[..] else { panic!("{ports:?}") };
        assert_eq!((port.port, port.established, port.bytes_received), (user, 1, 5));
        assert!(port.last_received.is_some_and(|ago| ago < Duration::from_secs(10)), "{ports:?}");
        // The far ends of the two first connections are clients here, and would be outside.
        assert_eq!((ports.inbound, ports.outbound), (1, 2), "{ports:?}");
    }

    #[test]
    fn connections_within_the_guest_and_to_the_agent_leave_no_trace() {
        network(|| {
            let scan = Scan::new(Vec::new());
            let server = TcpListener::bind("127.0.0.1:0").unwrap();
            assert!(!scan.opens(0), "nothing to compare with");
            for _ in 0..3 {
                drop((dial("127.0.0.1", server.local_addr().unwrap()), server.accept().unwrap()));
            }
            assert!(!scan.opens(0));
        });
    }

    #[test]
    fn a_connection_from_outside_that_came_and_went_is_noticed() {
        let mut opens = Opens::default();
        let steps = [
            ("nothing to compare with", (30, 80, 20), false),
            ("nothing", (30, 80, 20), false),
            ("to the agent", (30, 81, 21), false),
            ("inside", (31, 82, 21), false),
            ("from outside", (31, 83, 21), true),
            ("to outside", (32, 83, 21), false),
            ("from outside again", (32, 84, 21), true),
        ];
        for (what, (active, passive, accepted), grew) in steps {
            assert_eq!(opens.grew(active, passive, accepted), grew, "{what}");
        }
    }

    #[test]
    fn the_statistics_of_the_kernel_are_understood() {
        let text = "Ip: a b\nIp: 1 2\nTcp: RtoAlgorithm ActiveOpens PassiveOpens\nTcp: 1 3 8\nTcpExt: x\n";
        assert_eq!(counted(text), Some((3, 8)));
        assert_eq!((counted(""), counted("Tcp: A\n"), counted("Tcp: ActiveOpens\nTcp: x\n")), (None, None, None));
    }
}
