//! Network interfaces: up, an address, a default route (rtnetlink(7)), in messages of a few dozen bytes.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// Length of `nlmsghdr`.
const HEADER: usize = 16;
/// Room for one acknowledgement, which repeats the request.
const ANSWER: usize = 512;
/// Routes that an administrator made (`RTPROT_BOOT` is for those made at boot).
const PROTOCOL_BOOT: u8 = 3;
/// `RT_TABLE_MAIN`.
const TABLE_MAIN: u8 = 254;
/// `RTNH_F_ONLINK`: take the gateway to be on the link, whatever the prefix says.
const ONLINK: u32 = 4;
/// `RTN_UNICAST`.
const UNICAST: u8 = 1;

/// Names an interface by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link(u32);

impl Link {
    /// Finds an interface by its name.
    ///
    /// # Errors
    /// ENODEV.
    pub fn named(name: &str) -> io::Result<Self> {
        Ok(Self(if_nametoindex(name)?))
    }
}

/// Holds a socket to the kernel's routing.
#[derive(Debug)]
pub struct Links {
    socket: OwnedFd,
    sequence: u32,
}

impl Links {
    /// Opens the socket.
    ///
    /// # Errors
    /// Those of socket(2); a kernel without networking has no such family.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sets `IFF_UP`.
    ///
    /// # Errors
    /// EPERM without `CAP_NET_ADMIN`, and what the driver says.
    pub fn up(&mut self, link: Link) -> io::Result<()> {
        let up = u32::try_from(libc::IFF_UP).unwrap_or(1);
        // ifinfomsg: family, padding, type, index, flags, mask of changed flags.
        let body = [&[0; 4][..], &link.0.to_ne_bytes(), &up.to_ne_bytes(), &up.to_ne_bytes()].concat();
        self.ask(libc::RTM_NEWLINK, 0, &body)
    }

    /// Gives the interface an address; one that it has already stays.
    ///
    /// # Errors
    /// EPERM, EINVAL for a prefix above 32.
    pub fn add_address(&mut self, link: Link, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        // ifaddrmsg: family, prefix length, flags, scope (0 is everywhere), index.
        let mut body = vec![family(), prefix, 0, 0];
        body.extend(link.0.to_ne_bytes());
        attribute(&mut body, libc::IFA_LOCAL, &address.octets());
        attribute(&mut body, libc::IFA_ADDRESS, &address.octets());
        if prefix < 31 {
            let broadcast = Ipv4Addr::from_bits(address.to_bits() | u32::MAX.checked_shr(prefix.into()).unwrap_or(0));
            attribute(&mut body, libc::IFA_BROADCAST, &broadcast.octets());
        }
        self.ask(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_REPLACE, &body)
    }

    /// Sends everything that has no better way through a gateway; another default route is replaced. The gateway need
    /// not be in the address's network (`RTNH_F_ONLINK`): hosts give /32 addresses too.
    ///
    /// # Errors
    /// EPERM, ENETDOWN when the interface is down.
    pub fn add_default_route(&mut self, link: Link, gateway: Ipv4Addr) -> io::Result<()> {
        // rtmsg: family, lengths of both prefixes, service, table, protocol, scope (0 is everywhere), type, flags.
        let mut body = vec![family(), 0, 0, 0, TABLE_MAIN, PROTOCOL_BOOT, 0, UNICAST];
        body.extend(ONLINK.to_ne_bytes());
        attribute(&mut body, libc::RTA_GATEWAY, &gateway.octets());
        attribute(&mut body, libc::RTA_OIF, &link.0.to_ne_bytes());
        self.ask(libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_REPLACE, &body)
    }

    /// Sends one request and waits for its acknowledgement.
    fn ask(&mut self, kind: u16, flags: libc::c_int, body: &[u8]) -> io::Result<()> {
        self.sequence += 1;
        let flags = u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags).map_err(|_| Errno::EINVAL)?;
        let length = u32::try_from(HEADER + body.len()).map_err(|_| Errno::EMSGSIZE)?;
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        // The sender's port: the kernel fills it in.
        message.extend([0; 4]);
        message.extend(body);
        send(self.socket.as_raw_fd(), &message, MsgFlags::empty())?;
        let mut answer = [0; ANSWER];
        let length = recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        outcome(&answer[..length])
    }
}

fn family() -> u8 {
    u8::try_from(libc::AF_INET).unwrap_or(2)
}

/// Appends an attribute; all of ours have four bytes and so need no padding.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8; 4]) {
    body.extend(8_u16.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
}

/// Reads an acknowledgement: a header of type `NLMSG_ERROR`, then the negated error, 0 for none.
fn outcome(answer: &[u8]) -> io::Result<()> {
    let errno = answer.get(HEADER..HEADER + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match errno {
        Some(0) => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(-errno)),
        None => Err(Errno::EBADMSG.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_carries_the_error() {
        let answer = |errno: i32| [&[0; HEADER][..], &(-errno).to_ne_bytes()].concat();
        assert!(outcome(&answer(0)).is_ok());
        assert_eq!(outcome(&answer(libc::EPERM)).unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(outcome(&[0; 4]).unwrap_err().raw_os_error(), Some(libc::EBADMSG));
    }

    #[test]
    fn the_loopback_has_a_number_and_nonsense_has_none() {
        assert!(Link::named("lo").is_ok());
        assert_eq!(Link::named("no-such-link").unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
