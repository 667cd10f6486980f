//! What the two programs remember.

use std::io;
use std::os::fd::BorrowedFd;

use super::layout::{INSIDE_KEY, OUTSIDE_KEY, Place, siblings};
use crate::sys::bpf::{Map, MapKind};

/// Most sockets, and most outside addresses: 64 KiB of the kernel's memory each for the buckets; entries take theirs
/// when they are made. A server past that is not reached from outside.
const ENTRIES: u32 = 4096;
/// Counts of an address that is never given up.
const FOR_EVER: u32 = 1 << 30;

/// Holds the maps.
#[derive(Debug)]
pub(super) struct Maps {
    /// Sockets that listen on loopback addresses, by port, family and sibling.
    pub(super) inside: Map,
    /// How many sockets listen on other addresses, by address and port.
    pub(super) outside: Map,
}

impl Maps {
    /// Makes them.
    pub(super) fn new() -> io::Result<Self> {
        let inside = Map::new(MapKind::Sockets, INSIDE_KEY, ENTRIES)?;
        Ok(Self { inside, outside: Map::new(MapKind::Hash, OUTSIDE_KEY, ENTRIES)? })
    }

    /// Leaves a port to the kernel for ever, whoever listens on it.
    pub(super) fn spare(&self, port: u16) -> io::Result<()> {
        use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
        let everywhere: [SocketAddr; 2] = [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()];
        for address in everywhere {
            if let Place::Outside(key) = Place::of(address) {
                self.outside.set(&key, FOR_EVER)?;
            }
        }
        Ok(())
    }

    /// Counts one more socket at an outside address. Not for while the programs run, which count too.
    pub(super) fn count(&self, key: &[u8]) -> io::Result<()> {
        let before = self.outside.get(key)?.unwrap_or(0);
        self.outside.set(key, before.saturating_add(1))
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
