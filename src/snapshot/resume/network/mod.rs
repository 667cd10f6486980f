//! Addresses, routes, neighbours and name servers, changed in place.
//!
//! No link is ever taken down: the kernel would drop its routes and neighbours, and programs that watch links would
//! start over. New addresses come before old ones go. The neighbours that the kernel learned are those of the network
//! where the snapshot was taken, so they are forgotten in any case.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::libc;

use super::Fault;
use crate::sys::netlink::link::{self, Held};
use crate::sys::netlink::{Family, Follow, Socket};
use crate::sys::place;

const RESOLV_CONF: &str = "/etc/resolv.conf";

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
    let mut changed = Changed::default();
    match Socket::open(Family::Route, Follow::Nothing) {
        Ok(mut socket) => {
            for interface in &wanted.interfaces {
                let outcome = changed.interface(&mut socket, interface);
                changed.note(outcome, || format!("cannot change the interface {}", interface.name));
            }
            let outcome = changed.forget(&mut socket);
            changed.note(outcome, || "cannot forget neighbours".to_owned());
        }
        Err(error) => changed.faults.push(Fault::new("cannot talk to the kernel about the network", error)),
    }
    if !wanted.dns.is_empty() {
        changed.servers(Path::new(RESOLV_CONF), &wanted.dns);
    }
    changed
}

/// Says whether the kernel lets us change the network (CAP_NET_ADMIN).
#[must_use]
pub fn available() -> bool {
    let nobody = Held { index: 0, ip: IpAddr::from([0, 0, 0, 0]), prefix: 32 };
    let tried =
        Socket::open(Family::Route, Follow::Nothing).and_then(|mut socket| link::remove_address(&mut socket, &nobody));
    // Without the right it would be refused before it is looked at.
    tried.err().and_then(|error| error.raw_os_error()).is_some_and(|error| error != libc::EPERM)
}

impl Changed {
    fn interface(&mut self, socket: &mut Socket, wanted: &Interface) -> io::Result<()> {
        let index = link::index(&wanted.name)?;
        let routes = link::defaults(socket)?;
        if !wanted.addresses.is_empty() {
            self.addresses(socket, index, wanted)?;
        }
        match wanted.gateway {
            Some(gateway) => self.route(socket, index, gateway),
            None => restore(socket, index, &routes),
        }
    }

    fn addresses(&mut self, socket: &mut Socket, index: u32, wanted: &Interface) -> io::Result<()> {
        let wanted_here: Vec<Held> =
            wanted.addresses.iter().map(|address| Held { index, ip: address.ip, prefix: address.prefix }).collect();
        let before = held(socket, index)?;
        for address in wanted_here.iter().filter(|address| !before.contains(address)) {
            let outcome = link::add_address(socket, address);
            self.added += u32::from(outcome.is_ok());
            self.note(outcome, || format!("cannot add the address {}/{}", address.ip, address.prefix));
        }
        let others = before.iter().filter(|address| !wanted_here.contains(address) && !is_link_local(address.ip));
        let promoting = Promoting::begin(&wanted.name);
        for address in others {
            let outcome = link::remove_address(socket, address);
            self.removed += u32::from(outcome.is_ok());
            self.note(outcome, || format!("cannot remove the address {}/{}", address.ip, address.prefix));
        }
        drop(promoting);
        // An address may have gone with another one: a second one of a network with the first, where the kernel
        // could not be told otherwise, or one whose prefix alone has changed.
        let after = held(socket, index)?;
        for address in wanted_here.iter().filter(|address| !after.contains(address)) {
            // A refusal was noted at the first try.
            let _ = link::add_address(socket, address);
        }
        Ok(())
    }

    fn route(&mut self, socket: &mut Socket, index: u32, gateway: IpAddr) -> io::Result<()> {
        let mut present = link::defaults(socket)?;
        present.retain(|route| route.index == index && route.is_v6 == gateway.is_ipv6());
        // The kernel replaces the route with the same metric, in one step.
        let metric = present.iter().map(|route| route.metric).min().unwrap_or(0);
        let route = link::Default { index, gateway: Some(gateway), is_v6: gateway.is_ipv6(), metric };
        if !present.contains(&route) {
            link::replace_default(socket, &route)?;
            self.routes += 1;
        }
        for other in present.iter().filter(|other| **other != route && other.metric != metric) {
            let outcome = link::remove_default(socket, other);
            self.note(outcome, || "cannot remove an old default route".to_owned());
        }
        Ok(())
    }

    fn forget(&mut self, socket: &mut Socket) -> io::Result<()> {
        let mut first = Ok(());
        for neighbour in link::neighbours(socket)? {
            match link::forget(socket, &neighbour) {
                Ok(()) => self.neighbours += 1,
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => first = first.and(Err(error)),
            }
        }
        first
    }

    fn servers(&mut self, path: &Path, servers: &[IpAddr]) {
        let present = fs::read_to_string(path).unwrap_or_default();
        let outcome = place::replace(path, resolv_conf(&present, servers).as_bytes());
        self.dns = matches!(outcome, Ok(true));
        self.note(outcome.map(drop), || format!("cannot write {}", path.display()));
    }

    fn note(&mut self, outcome: io::Result<()>, what: impl FnOnce() -> String) {
        if let Err(error) = outcome {
            self.faults.push(Fault::new(what(), error));
        }
    }
}

fn held(socket: &mut Socket, index: u32) -> io::Result<Vec<Held>> {
    let mut found = link::addresses(socket)?;
    found.retain(|held| held.index == index);
    Ok(found)
}

/// Brings back default routes that went with an address.
fn restore(socket: &mut Socket, index: u32, before: &[link::Default]) -> io::Result<()> {
    let present = link::defaults(socket)?;
    for route in before.iter().filter(|route| route.index == index && !present.contains(route)) {
        link::replace_default(socket, route)?;
    }
    Ok(())
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// Replaces the name servers and leaves all other lines (resolv.conf(5)).
fn resolv_conf(present: &str, servers: &[IpAddr]) -> String {
    let is_kept = |line: &&str| line.split_whitespace().next() != Some("nameserver");
    let kept = present.lines().filter(is_kept).map(|line| format!("{line}\n"));
    kept.chain(servers.iter().map(|server| format!("nameserver {server}\n"))).collect()
}

/// While it lives, an address that goes does not take the others of its network along, which is the kernel's habit
/// (promote_secondaries, Documentation/networking/ip-sysctl.rst).
struct Promoting {
    path: PathBuf,
    before: Option<Vec<u8>>,
}

impl Promoting {
    fn begin(interface: &str) -> Self {
        let path = Path::new("/proc/sys/net/ipv4/conf").join(interface).join("promote_secondaries");
        let before = fs::read(&path).ok().filter(|_| fs::write(&path, "1").is_ok());
        Self { path, before }
    }
}

impl Drop for Promoting {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = fs::write(&self.path, before);
        }
    }
}

#[cfg(test)]
mod tests;
