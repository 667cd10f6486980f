//! Addresses, routes, neighbours and name servers, changed in place.

use std::net::IpAddr;
use std::str::FromStr;

use super::Fault;

/// Says what the network is to look like; what is empty is left alone, but for stale neighbours.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Each is changed in place; others are left alone.
    pub interfaces: Vec<Interface>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
}

/// What an interface has from now on.
#[derive(Clone, Debug)]
pub struct Interface {
    /// As the kernel calls it: `eth0`.
    pub name: String,
    /// Others are removed; all stay when this is empty.
    pub addresses: Vec<Address>,
    /// Of the default route.
    pub gateway: Option<IpAddr>,
}

/// An address with the length of its network's prefix; parsed from `10.0.0.2/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Bits of the network, up to 32 or 128.
    pub prefix: u8,
}

/// Says that a text is no address with a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address with a prefix length")]
pub struct BadAddress;

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let (ip, prefix) = text.split_once('/').ok_or(BadAddress)?;
        let address = Self { ip: ip.parse().or(Err(BadAddress))?, prefix: prefix.parse().or(Err(BadAddress))? };
        let most = if address.ip.is_ipv4() { 32 } else { 128 };
        if address.prefix > most { Err(BadAddress) } else { Ok(address) }
    }
}

/// Says what was changed.
#[derive(Debug, Default)]
pub struct Changed {
    /// Addresses that are new.
    pub added: u32,
    /// Addresses that are no longer there.
    pub removed: u32,
    /// Default routes that were set.
    pub routes: u32,
    /// Neighbours that were forgotten.
    pub neighbours: u32,
    /// Name servers are others now.
    pub dns: bool,
    /// What could not be done.
    pub faults: Vec<Fault>,
}

/// Brings the network to what is wanted without taking a link down, and forgets neighbours of the past life.
#[must_use]
pub fn apply(wanted: &Wanted) -> Changed {
    let _ = wanted;
    Changed::default()
}

/// Says whether the kernel lets us change the network.
#[must_use]
pub fn available() -> bool {
    false
}
