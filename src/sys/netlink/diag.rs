//! TCP connections as the kernel lists them, and ending one (sock_diag(7), include/uapi/linux/inet_diag.h).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::libc;

use super::{Message, Socket};

/// SOCK_DIAG_BY_FAMILY.
pub(super) const LIST: u16 = 20;
/// SOCK_DESTROY, since 4.5 where the kernel has CONFIG_INET_DIAG_DESTROY.
const DESTROY: u16 = 21;
/// Length of `struct inet_diag_sockid`.
const IDENTITY: usize = 48;
/// Where the identity stands in `struct inet_diag_msg`.
const AT: usize = 4;
/// Connections that are ended by one system call.
const BATCH: usize = 64;
/// States of a connection that has two ends and a program at this one: ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT1,
/// FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING (include/net/tcp_states.h). TIME_WAIT has no program.
pub const LIVE: u32 = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11;
/// LISTEN alone.
pub const LISTEN: u32 = 1 << 10;
/// ESTABLISHED alone.
pub const ESTABLISHED: u32 = 1 << 1;

/// One connection, told from later ones with equal addresses and ports by the kernel's cookie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    family: u8,
    identity: [u8; IDENTITY],
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} - {}", self.local(), self.peer())
    }
}

impl Connection {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        Some(Self { family: *body.first()?, identity: *body.get(AT..)?.first_chunk()? })
    }

    /// Gives this end; an IPv4 address in an IPv6 socket as IPv4.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        SocketAddr::new(self.address(4), self.port(0))
    }

    /// Gives the other end, likewise.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        SocketAddr::new(self.address(20), self.port(2))
    }

    fn port(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.identity[at], self.identity[at + 1]])
    }

    fn address(&self, at: usize) -> IpAddr {
        let bytes: [u8; 16] = self.identity[at..].first_chunk().copied().unwrap_or_default();
        if i32::from(self.family) == libc::AF_INET {
            Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()
        } else {
            Ipv6Addr::from(bytes).to_canonical()
        }
    }

    fn request(&self, kind: u16, states: u32) -> Message {
        self.request_with(kind, states, 0)
    }

    /// As `request`, with attributes to be answered (a bit each).
    pub(super) fn request_with(&self, kind: u16, states: u32, attributes: u8) -> Message {
        let mut body = [0; 8 + IDENTITY];
        body[0] = self.family;
        body[1] = libc::IPPROTO_TCP.to_le_bytes()[0];
        body[2] = attributes;
        body[4..8].copy_from_slice(&states.to_ne_bytes());
        body[8..].copy_from_slice(&self.identity);
        Message::new(kind, &body)
    }

    /// A connection that no kernel has.
    pub(super) fn nowhere(family: i32) -> Self {
        Self { family: family.to_le_bytes()[0], identity: [0; IDENTITY] }
    }
}

/// Hands each TCP connection in one of `states` to `each`, IPv4 first. Loads the module `tcp_diag` where it is one.
///
/// # Errors
/// ENOENT where the kernel cannot list connections.
pub fn connections(socket: &mut Socket, states: u32, mut each: impl FnMut(Connection)) -> io::Result<()> {
    for family in [libc::AF_INET, libc::AF_INET6] {
        let mut question = Connection::nowhere(family).request(LIST, states);
        socket.dump(&mut question, |_, body| {
            if let Some(connection) = Connection::read(body) {
                each(connection);
            }
        })?;
    }
    Ok(())
}

/// Ends connections: their programs get ECONNABORTED, their peers a reset. Hands each that could not be ended to
/// `refused`, with ENOENT when it was gone.
///
/// # Errors
/// When the kernel does not take requests; some may have been worked off.
pub fn destroy(
    socket: &mut Socket,
    connections: &[Connection],
    mut refused: impl FnMut(&Connection, io::Error),
) -> io::Result<()> {
    let mut batch = Vec::with_capacity(BATCH * 80);
    for part in connections.chunks(BATCH) {
        batch.clear();
        for (number, connection) in (0..).zip(part) {
            let mut request = connection.request(DESTROY, u32::MAX);
            request.number(number);
            // Refusals come in any case. The consent to the last says that all were worked off.
            let is_last = usize::try_from(number).is_ok_and(|number| number + 1 == part.len());
            batch.extend(request.finish(if is_last { libc::NLM_F_ACK } else { 0 }));
        }
        socket.send(&batch)?;
        let mut is_done = false;
        socket.receive(|messages| {
            for message in messages.filter(|message| i32::from(message.kind) == libc::NLMSG_ERROR) {
                let number = usize::try_from(message.sequence).unwrap_or(usize::MAX);
                is_done |= number + 1 == part.len();
                if let (Err(error), Some(connection)) = (message.refusal(), part.get(number)) {
                    refused(connection, error);
                }
            }
            Ok(true)
        })?;
        if !is_done {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Says whether connections can be ended: the kernel looks for one that is not there, instead of refusing.
#[must_use]
pub fn can_destroy(socket: &mut Socket) -> bool {
    let mut answer = None;
    let nowhere = [Connection::nowhere(libc::AF_INET)];
    destroy(socket, &nowhere, |_, error| answer = error.raw_os_error()).is_ok() && answer == Some(libc::ENOENT)
}
