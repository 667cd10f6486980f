//! Which TCP connections belong to the past life, and ending them.
//!
//! After a resume the other end of a connection has gone, or talks to another copy; a program that waits for it finds
//! out after a quarter of an hour (tcp_retries2). So the connections that were open when programs were stopped are
//! written down, and ended while programs still stand still: their next call returns ECONNABORTED. They are known by
//! the kernel's cookie, so that a new connection between equal addresses and ports is never meant.
//!
//! Containers are covered: each network namespace that a process runs in is asked. What is not TCP has no connection
//! to end; those over vsock are ended by the hypervisor.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use nix::libc;

use crate::sys::namespace;
use crate::sys::netlink::{Family, Follow, Socket, diag, link};

/// Lists the connections to the world outside that were open at one moment, by their kernel cookies.
#[derive(Debug, Default)]
pub struct Manifest {
    networks: Vec<Network>,
}

/// The connections of one network namespace, and the way to them.
#[derive(Debug)]
struct Network {
    socket: Mutex<Socket>,
    connections: Vec<diag::Connection>,
}

/// Says what became of the connections of a manifest.
#[derive(Debug, Default)]
pub struct Ended {
    /// Ended now; their programs get ECONNABORTED.
    pub ended: u32,
    /// Had ended before.
    pub gone: u32,
    /// Could not be ended.
    pub failed: u32,
    /// Why, for the first of them.
    pub error: Option<io::Error>,
}

/// What one network namespace holds.
struct Inventory {
    socket: Socket,
    addresses: Vec<IpAddr>,
    connections: Vec<diag::Connection>,
}

impl Manifest {
    /// Lists the connections that are open now, but for those inside the guest and those to one of `own_ports`.
    ///
    /// # Errors
    /// ENOENT where the kernel has no socket diagnosis. Namespaces of containers that cannot be entered are left out.
    pub fn take(own_ports: &[u16]) -> io::Result<Self> {
        let mut inventories = vec![Inventory::take()?];
        let others = namespace::other_networks().and_then(|others| namespace::within(&others, Inventory::take));
        inventories.extend(others.unwrap_or_default().into_iter().flatten());
        Ok(Self::of(inventories, own_ports))
    }

    fn of(inventories: Vec<Inventory>, own_ports: &[u16]) -> Self {
        let inside: Vec<IpAddr> = inventories.iter().flat_map(|found| &found.addresses).copied().collect();
        let is_meant = |connection: &diag::Connection| {
            let peer = connection.peer().ip();
            let is_own = own_ports.contains(&connection.local().port());
            !is_own && !peer.is_loopback() && !inside.contains(&peer)
        };
        let networks = inventories.into_iter().map(|mut found| {
            found.connections.retain(is_meant);
            Network { socket: Mutex::new(found.socket), connections: found.connections }
        });
        Self { networks: networks.filter(|network| !network.connections.is_empty()).collect() }
    }

    /// Counts the connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.networks.iter().map(|network| network.connections.len()).sum()
    }

    /// Says whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// Ends the connections; those that were opened later, even with equal addresses and ports, stay.
    #[must_use]
    pub fn end(&self) -> Ended {
        let mut ended = Ended::default();
        for network in &self.networks {
            network.end(&mut ended);
        }
        ended
    }
}

impl Network {
    fn end(&self, ended: &mut Ended) {
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let mut refused = 0;
        let outcome = diag::destroy(&mut socket, &self.connections, |_, error| {
            refused += 1;
            if error.raw_os_error() == Some(libc::ENOENT) {
                ended.gone += 1;
            } else {
                ended.failed += 1;
                ended.error.get_or_insert(error);
            }
        });
        let others = u32::try_from(self.connections.len()).unwrap_or(u32::MAX).saturating_sub(refused);
        match outcome {
            Ok(()) => ended.ended += others,
            // Some of them may have been ended; which is not known.
            Err(error) => {
                ended.failed += others;
                ended.error.get_or_insert(error);
            }
        }
    }
}

impl Inventory {
    /// Asks the network namespace that this thread is in.
    fn take() -> io::Result<Self> {
        let mut routes = Socket::open(Family::Route, Follow::Nothing)?;
        let addresses = link::addresses(&mut routes)?.into_iter().map(|held| held.ip).collect();
        let mut socket = Socket::open(Family::Sockets, Follow::Nothing)?;
        let mut connections = Vec::new();
        diag::connections(&mut socket, diag::LIVE, |connection| connections.push(connection))?;
        Ok(Self { socket, addresses, connections })
    }
}

/// A connection of this guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
}

/// Lists the established connections to a local port, those inside the guest too, but for those in containers.
///
/// # Errors
/// As [`Manifest::take`].
pub fn established(port: u16) -> io::Result<Vec<Connection>> {
    let mut found = Vec::new();
    let mut socket = Socket::open(Family::Sockets, Follow::Nothing)?;
    diag::connections(&mut socket, diag::ESTABLISHED, |connection| {
        if connection.local().port() == port {
            found.push(Connection { local: connection.local(), peer: connection.peer() });
        }
    })?;
    Ok(found)
}

/// Says whether connections can be ended; loads the kernel's module for it, which is not to be done while programs
/// stand still: loading it starts one (modprobe).
#[must_use]
pub fn available() -> bool {
    let probe = || -> io::Result<bool> {
        let mut socket = Socket::open(Family::Sockets, Follow::Nothing)?;
        diag::connections(&mut socket, 0, |_| {})?;
        Ok(diag::can_destroy(&mut socket))
    };
    probe().unwrap_or(false)
}

#[cfg(test)]
mod tests;
