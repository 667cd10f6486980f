//! Interfaces, their addresses, routes and neighbours (rtnetlink(7)).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::libc;

use super::{Attributes, Message, Socket};

/// Lengths of `struct ifaddrmsg`, `struct rtmsg`, `struct ndmsg`, `struct ifinfomsg`.
const ADDRESS: usize = 8;
const ROUTE: usize = 12;
const NEIGHBOUR: usize = 12;
const LINK: usize = 16;
/// The address is used at once, without asking first whether somebody else has it (IFA_F_NODAD).
const NODAD: u8 = 0x02;
/// The gateway is reached though no address covers it (RTNH_F_ONLINK).
const ONLINK: u32 = 4;
/// An interface tells why it is mentioned (IFLA_EVENT), here: it announced itself (IFLA_EVENT_NOTIFY_PEERS).
const EVENT: u16 = 44;
const NOTIFY_PEERS: u32 = 4;

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The interface.
    pub index: u32,
    /// The address.
    pub ip: IpAddr,
    /// Bits of its network.
    pub prefix: u8,
}

/// A default route in the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Default {
    /// The interface it leaves by.
    pub index: u32,
    /// The router.
    pub gateway: Option<IpAddr>,
    /// IPv6, for routes without a router.
    pub is_v6: bool,
    /// The lower, the better; the key by which one replaces another.
    pub metric: u32,
}

/// A neighbour that the kernel learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The interface behind which it is.
    pub index: u32,
    /// Its address.
    pub ip: IpAddr,
}

/// Gives the number of an interface.
///
/// # Errors
/// ENODEV.
pub fn index(name: &str) -> io::Result<u32> {
    Ok(nix::net::if_::if_nametoindex(name)?)
}

/// Takes an interface up.
///
/// # Errors
/// EPERM without `CAP_NET_ADMIN`, and what the driver says.
pub fn up(socket: &mut Socket, index: u32) -> io::Result<()> {
    let up = u32::try_from(libc::IFF_UP).unwrap_or(1).to_ne_bytes();
    // ifinfomsg: family, padding, type, index, flags, mask of the flags that change.
    let mut body = [0; LINK];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body[8..12].copy_from_slice(&up);
    body[12..].copy_from_slice(&up);
    socket.change(&mut Message::new(libc::RTM_NEWLINK, &body), 0)
}

/// Lists the addresses of all interfaces.
///
/// # Errors
/// What the kernel answers.
pub fn addresses(socket: &mut Socket) -> io::Result<Vec<Held>> {
    let mut found = Vec::new();
    socket.dump(&mut Message::new(libc::RTM_GETADDR, &[0; ADDRESS]), |_, body| {
        let attributes = Attributes::after(body, ADDRESS);
        // The own address of a point-to-point link; IPv6 has the other one only.
        let ip = attributes.find(libc::IFA_LOCAL).or_else(|| attributes.find(libc::IFA_ADDRESS)).and_then(ip);
        if let (Some(ip), Some(&prefix), Some(index)) = (ip, body.get(1), number(body, 4)) {
            found.push(Held { index, ip, prefix });
        }
    })?;
    Ok(found)
}

/// Gives an interface one more address, or the same again.
///
/// # Errors
/// What the kernel answers.
pub fn add_address(socket: &mut Socket, held: &Held) -> io::Result<()> {
    let mut message = address_message(libc::RTM_NEWADDR, held);
    if let (IpAddr::V4(ip), 0..=30) = (held.ip, held.prefix) {
        let broadcast = u32::from(ip) | u32::MAX.checked_shr(held.prefix.into()).unwrap_or(0);
        message = message.with(libc::IFA_BROADCAST, &broadcast.to_be_bytes());
    }
    socket.change(&mut message, libc::NLM_F_CREATE | libc::NLM_F_REPLACE)
}

/// Takes an address away.
///
/// # Errors
/// EADDRNOTAVAIL when it is not there.
pub fn remove_address(socket: &mut Socket, held: &Held) -> io::Result<()> {
    socket.change(&mut address_message(libc::RTM_DELADDR, held), 0)
}

fn address_message(kind: u16, held: &Held) -> Message {
    let mut body = [0; ADDRESS];
    body[0] = family(held.ip.is_ipv6());
    body[1] = held.prefix;
    body[2] = if held.ip.is_ipv6() { NODAD } else { 0 };
    body[4..].copy_from_slice(&held.index.to_ne_bytes());
    let bytes = bytes(held.ip);
    Message::new(kind, &body).with(libc::IFA_LOCAL, bytes.as_ref()).with(libc::IFA_ADDRESS, bytes.as_ref())
}

/// Lists the default routes of the main table that have one way out.
///
/// # Errors
/// What the kernel answers.
pub fn defaults(socket: &mut Socket) -> io::Result<Vec<Default>> {
    let mut found = Vec::new();
    socket.dump(&mut Message::new(libc::RTM_GETROUTE, &[0; ROUTE]), |_, body| {
        let is_default = body.get(1) == Some(&0)
            && body.get(4) == Some(&libc::RT_TABLE_MAIN)
            && body.get(7) == Some(&libc::RTN_UNICAST);
        let attributes = Attributes::after(body, ROUTE);
        if let (true, Some(index)) = (is_default, attributes.find(libc::RTA_OIF).and_then(|value| number(value, 0))) {
            found.push(Default {
                index,
                gateway: attributes.find(libc::RTA_GATEWAY).and_then(ip),
                is_v6: body.first() == Some(&family(true)),
                metric: attributes.find(libc::RTA_PRIORITY).and_then(|value| number(value, 0)).unwrap_or(0),
            });
        }
    })?;
    Ok(found)
}

/// Makes a default route, in place of one with the same metric.
///
/// # Errors
/// What the kernel answers.
pub fn replace_default(socket: &mut Socket, route: &Default) -> io::Result<()> {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
    match socket.change(&mut route_message(libc::RTM_NEWROUTE, route, 0), flags) {
        // No address covers the router.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENETUNREACH | libc::EHOSTUNREACH)) => {
            socket.change(&mut route_message(libc::RTM_NEWROUTE, route, ONLINK), flags)
        }
        other => other,
    }
}

/// Takes a default route away.
///
/// # Errors
/// ESRCH when it is not there.
pub fn remove_default(socket: &mut Socket, route: &Default) -> io::Result<()> {
    socket.change(&mut route_message(libc::RTM_DELROUTE, route, 0), 0)
}

fn route_message(kind: u16, route: &Default, flags: u32) -> Message {
    let is_new = kind == libc::RTM_NEWROUTE;
    let mut body = [0; ROUTE];
    body[0] = family(route.is_v6);
    body[4] = libc::RT_TABLE_MAIN;
    // When taking away, 0 stands for any origin, and a scope of "nowhere" for any scope.
    body[5] = if is_new { libc::RTPROT_STATIC } else { 0 };
    body[6] = if is_new { libc::RT_SCOPE_UNIVERSE } else { libc::RT_SCOPE_NOWHERE };
    body[7] = if is_new { libc::RTN_UNICAST } else { 0 };
    body[8..].copy_from_slice(&flags.to_ne_bytes());
    let mut message = Message::new(kind, &body).with(libc::RTA_OIF, &route.index.to_ne_bytes());
    if let Some(gateway) = route.gateway {
        message = message.with(libc::RTA_GATEWAY, bytes(gateway).as_ref());
    }
    if route.metric != 0 {
        message = message.with(libc::RTA_PRIORITY, &route.metric.to_ne_bytes());
    }
    message
}

/// Lists the neighbours that the kernel learned; those that somebody set (PERMANENT, NOARP) are left out.
///
/// # Errors
/// What the kernel answers.
pub fn neighbours(socket: &mut Socket) -> io::Result<Vec<Neighbour>> {
    let mut found = Vec::new();
    socket.dump(&mut Message::new(libc::RTM_GETNEIGH, &[0; NEIGHBOUR]), |_, body| {
        let is_ip = matches!(body.first().copied().map(i32::from), Some(libc::AF_INET | libc::AF_INET6));
        let state = body.get(8..10).map_or(0, |bytes| u16::from_ne_bytes([bytes[0], bytes[1]]));
        let ip = Attributes::after(body, NEIGHBOUR).find(libc::NDA_DST).and_then(ip);
        if let (true, 0, Some(index), Some(ip)) =
            (is_ip, state & (libc::NUD_PERMANENT | libc::NUD_NOARP), number(body, 4), ip)
        {
            found.push(Neighbour { index, ip });
        }
    })?;
    Ok(found)
}

/// Forgets a neighbour.
///
/// # Errors
/// ENOENT when it is forgotten.
pub fn forget(socket: &mut Socket, neighbour: &Neighbour) -> io::Result<()> {
    let mut body = [0; NEIGHBOUR];
    body[0] = family(neighbour.ip.is_ipv6());
    body[4..8].copy_from_slice(&neighbour.index.to_ne_bytes());
    let mut message = Message::new(libc::RTM_DELNEIGH, &body).with(libc::NDA_DST, bytes(neighbour.ip).as_ref());
    socket.change(&mut message, 0)
}

/// Says whether a notice of a link tells that it announced itself to its peers, as a network card does after its
/// machine was moved or resumed.
#[must_use]
pub fn is_announcement(kind: u16, body: &[u8]) -> bool {
    let event = Attributes::after(body, LINK).find(EVENT).and_then(|value| number(value, 0));
    kind == libc::RTM_NEWLINK && event == Some(NOTIFY_PEERS)
}

fn family(is_v6: bool) -> u8 {
    let family = if is_v6 { libc::AF_INET6 } else { libc::AF_INET };
    family.to_le_bytes()[0]
}

/// An address as the kernel takes it.
enum Bytes {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
        }
    }
}

fn bytes(ip: IpAddr) -> Bytes {
    match ip {
        IpAddr::V4(ip) => Bytes::V4(ip.octets()),
        IpAddr::V6(ip) => Bytes::V6(ip.octets()),
    }
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => value.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes).into()),
        16 => value.first_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes).into()),
        _ => None,
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}
