//! What the two programs and the agent agree on: keys of the maps, addresses in them.
//!
//! An address is four words in network order; one of IPv4 stands in IPv6 (`::ffff:a.b.c.d`), as does that of an IPv6
//! socket that is bound to such an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The word before an IPv4 address.
pub(super) const MAPPED: i32 = i32::from_ne_bytes([0, 0, 0xff, 0xff]);
/// The last word of `127.0.0.1`.
pub(super) const LOCALHOST_V4: i32 = i32::from_ne_bytes([127, 0, 0, 1]);
/// The last word of `::1`.
pub(super) const LOCALHOST_V6: i32 = i32::from_ne_bytes([0, 0, 0, 1]);

/// Sockets that listen on one port of one loopback address, as those of a server that forked before (`SO_REUSEPORT`)
/// do. The kernel chooses among such a group whichever of it we name; we keep more than one only because those that
/// we keep may be closed before the others.
pub(super) const SIBLINGS: i32 = 16;
/// Where the number among siblings stands in the key of a socket.
pub(super) const SIBLING_SHIFT: u8 = 20;
/// In the key of a socket: it listens on `::1`, and not on `127.0.0.1`.
pub(super) const ON_V6: i32 = 1 << 16;
/// Bytes of the key of a socket: port, family and sibling in one word.
pub(super) const SOCKET_KEY: u32 = 4;
/// The key of the socket of the relay; nobody listens on port 0.
pub(super) const RELAY: i32 = 0;
/// Bytes of the key of a count: the address and the port, five words.
pub(super) const ADDRESS_KEY: u32 = 20;

/// `AF_INET` and `AF_INET6`.
pub(super) const AF_INET: i32 = 2;
pub(super) const AF_INET6: i32 = 10;

/// A listening address as the maps know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The key under which its servers are counted.
    pub(super) key: [u8; ADDRESS_KEY as usize],
    /// On a loopback address: the key of the first sibling.
    pub(super) inside: Option<u32>,
}

impl Place {
    /// Sorts an address as the program in the kernel does.
    pub(super) fn of(address: SocketAddr) -> Self {
        let port = u32::from(address.port());
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let inside = if ip == Ipv6Addr::LOCALHOST {
            Some(port | ON_V6.cast_unsigned())
        } else {
            (ip.to_ipv4_mapped() == Some(Ipv4Addr::LOCALHOST)).then_some(port)
        };
        let mut key = [0; ADDRESS_KEY as usize];
        key[..16].copy_from_slice(&ip.octets());
        key[16..].copy_from_slice(&port.to_ne_bytes());
        Self { key, inside }
    }
}

/// Gives the keys that the siblings of a socket may have.
pub(super) fn siblings(first: u32) -> impl Iterator<Item = [u8; SOCKET_KEY as usize]> {
    (0..SIBLINGS.cast_unsigned()).map(move |number| (first | number << SIBLING_SHIFT).to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_names_of_localhost_are_inside() {
        let inside = |address: &str| Place::of(address.parse().unwrap()).inside;
        assert_eq!(inside("127.0.0.1:80"), Some(80));
        assert_eq!(inside("[::ffff:127.0.0.1]:80"), Some(80));
        assert_eq!(inside("[::1]:65535"), Some(ON_V6.cast_unsigned() | 65_535));
        for address in ["127.0.0.53:53", "0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[fe80::1]:1", "[::127.0.0.1]:1"] {
            assert_eq!(inside(address), None, "{address}");
        }
    }

    #[test]
    fn keys_of_siblings_differ_in_nothing_but_their_number() {
        let keys: std::collections::HashSet<_> = siblings(ON_V6.cast_unsigned() | 65_535).collect();
        assert_eq!(keys.len(), 16);
        assert!(keys.iter().all(|&key| u32::from_ne_bytes(key) & 0x000f_ffff == 0x0001_ffff));
    }
}
