//! What the two programs remember.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::BorrowedFd;

use super::layout::{ADDRESS_KEY, Place, RELAY, SOCKET_KEY, siblings};
use super::present::listening;
use crate::sys::bpf::{Map, MapKind};

/// Most sockets, and most addresses: 64 KiB of the kernel's memory each for the buckets; entries take theirs when they
/// are made. Servers past the first are relayed, those past the second are not reached from outside.
const ENTRIES: u32 = 4096;
/// Counts of an address that is never given up.
const FOR_EVER: u32 = 1 << 30;

/// Holds the maps.
#[derive(Debug)]
pub(super) struct Maps {
    /// Sockets that listen on loopback addresses, by port, family and sibling.
    pub(super) inside: Map,
    /// How many sockets listen, by address and port.
    pub(super) servers: Map,
}

impl Maps {
    /// Makes them.
    pub(super) fn new() -> io::Result<Self> {
        let inside = Map::new(MapKind::Sockets, SOCKET_KEY, ENTRIES)?;
        Ok(Self { inside, servers: Map::new(MapKind::Hash, ADDRESS_KEY, ENTRIES)? })
    }

    /// Leaves a port to the kernel for ever, whoever listens on it.
    pub(super) fn spare(&self, port: u16) -> io::Result<()> {
        let everywhere: [SocketAddr; 2] = [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()];
        for address in everywhere {
            self.servers.set(&Place::of(address).key, FOR_EVER)?;
        }
        Ok(())
    }

    /// Counts one more socket. Not for while the programs run, which count too.
    pub(super) fn count(&self, place: &Place) -> io::Result<()> {
        let before = self.servers.get(&place.key)?.unwrap_or(0);
        self.servers.set(&place.key, before.saturating_add(1))
    }

    /// Forgets the loopback servers of a port but for those that listen, when the relay found none: the end of a server
    /// that is older than the programs is told to nobody.
    pub(super) fn recount(&self, port: u16) -> io::Result<()> {
        let near: [SocketAddr; 2] = [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
        let there: Vec<_> = listening().into_iter().map(|socket| Place::of(socket.address)).collect();
        for place in near.map(Place::of) {
            match there.iter().filter(|other| **other == place).count() {
                0 => self.servers.remove(&place.key)?,
                count => self.servers.set(&place.key, u32::try_from(count).unwrap_or(FOR_EVER))?,
            }
        }
        Ok(())
    }

    /// Names the socket of the relay.
    pub(super) fn relay_by(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.inside.add_socket(&RELAY.to_ne_bytes(), socket)
    }

    /// Puts a loopback socket beside its siblings; without a free place it stays out.
    pub(super) fn keep(&self, first: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
        let mut result = Ok(());
        for key in siblings(first) {
            result = self.inside.add_socket(&key, socket);
            if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::AlreadyExists) {
                break;
            }
        }
        result
    }
}
