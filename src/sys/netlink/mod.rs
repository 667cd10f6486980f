//! Talking to the kernel's network in messages (netlink(7)), without waiting for anything but the kernel.
//!
//! The kernel works a request off inside `send`, so the answer is there when it returns. Everything is synchronous,
//! with one buffer per socket that is made when it is opened.
//!
//! - [`message`] building and reading messages
//! - [`link`](mod@link) interfaces, addresses, routes and neighbours
//! - [`diag`] TCP connections, [`traffic`] what went through them

pub mod diag;
pub mod link;
pub mod message;
#[cfg(test)]
pub(crate) mod scratch;
pub mod traffic;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, send, setsockopt, socket, sockopt,
};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

pub use message::{Attributes, Message, Messages};

/// Room for one answer; dumps come in parts of at most 32 KiB when there is room (net/netlink/af_netlink.c).
const BUFFER: usize = 32 << 10;
/// Room for answers that were not read yet: 64 refusals of 1 KiB of overhead each, many times over.
const QUEUE: usize = 1 << 20;

/// Names a family of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Interfaces, addresses, routes, neighbours (rtnetlink(7)).
    Route,
    /// Sockets (sock_diag(7)).
    Sockets,
}

/// Groups of notices that a socket may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// None: it is for questions.
    Nothing,
    /// Changes and announcements of interfaces (RTMGRP_LINK).
    Links,
}

/// A socket to the kernel, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    /// Room that is never filled with zeros: most answers are short, and what is not written to costs no memory.
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket; reads do not wait.
    ///
    /// # Errors
    /// EPROTONOSUPPORT where the kernel lacks the family, EMFILE.
    pub fn open(family: Family, follow: Follow) -> io::Result<Self> {
        let protocol = match family {
            Family::Route => SockProtocol::NetlinkRoute,
            Family::Sockets => SockProtocol::NetlinkSockDiag,
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        let groups = match follow {
            Follow::Nothing => 0,
            Follow::Links => libc::RTMGRP_LINK.cast_unsigned(),
        };
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        if follow == Follow::Nothing {
            // Without CAP_NET_ADMIN the usual room has to do.
            let _ = setsockopt(&fd, sockopt::RcvBufForce, &QUEUE);
        }
        Ok(Self { fd, buffer: Vec::with_capacity(BUFFER) })
    }

    /// Sends one message, or several in a row.
    ///
    /// # Errors
    /// Those of sendmsg(2).
    pub fn send(&self, messages: &[u8]) -> io::Result<()> {
        send(self.fd.as_raw_fd(), messages, MsgFlags::empty())?;
        Ok(())
    }

    /// Hands what has come to `take`, read by read, until there is no more or `take` answers `false`; says whether it
    /// never did.
    ///
    /// # Errors
    /// ENOBUFS when messages were lost, and those of recv(2); what `take` returns.
    pub fn receive(&mut self, take: impl FnMut(Messages<'_>) -> io::Result<bool>) -> io::Result<bool> {
        receive(self.fd.as_fd(), &mut self.buffer, take)
    }

    /// Asks for a list and hands each entry's kind and body to `each`.
    ///
    /// # Errors
    /// What the kernel answers; what is known by then has been handed over.
    pub fn dump(&mut self, question: &mut Message, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        self.send(question.finish(libc::NLM_F_DUMP))?;
        // The first parts come at once, the next ones with each read: an empty queue before the end is a lost end.
        let unfinished = self.receive(|messages| {
            for message in messages {
                match i32::from(message.kind) {
                    libc::NLMSG_DONE => return Ok(false),
                    libc::NLMSG_ERROR => return message.refusal().map(|()| false),
                    _ => each(message.kind, message.body),
                }
            }
            Ok(true)
        })?;
        if unfinished { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Asks for a change and returns what the kernel says.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn change(&mut self, request: &mut Message, flags: i32) -> io::Result<()> {
        self.send(request.finish(flags | libc::NLM_F_ACK))?;
        let mut outcome = Err(io::ErrorKind::UnexpectedEof.into());
        self.receive(|messages| {
            for message in messages.filter(|message| i32::from(message.kind) == libc::NLMSG_ERROR) {
                outcome = message.refusal();
            }
            Ok(true)
        })?;
        outcome
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.fd
    }
}

/// As [`Socket::receive`], for a descriptor that was taken out of its socket; reads into what `buffer` has room for.
///
/// # Errors
/// As there.
pub fn receive(
    fd: BorrowedFd<'_>,
    buffer: &mut Vec<u8>,
    mut take: impl FnMut(Messages<'_>) -> io::Result<bool>,
) -> io::Result<bool> {
    loop {
        buffer.clear();
        match recv(fd, spare_capacity(buffer), RecvFlags::empty()) {
            Ok(_) => {}
            Err(Errno::AGAIN) => return Ok(true),
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        if !take(Messages::new(buffer))? {
            return Ok(false);
        }
    }
}
