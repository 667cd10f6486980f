//! Finding out whether somebody is at the other end.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt};

/// Seconds of silence before the first probe.
const IDLE: u32 = 60;
/// Seconds between probes.
const INTERVAL: u32 = 15;
/// Unanswered probes after which the connection is dead.
const PROBES: u32 = 4;

/// Turns on TCP keepalive; a socket that is not TCP stays as it is.
///
/// TCP_USER_TIMEOUT is left off: the kernel also counts the time in which a living peer does not read, so it would
/// break slow downloads.
pub fn expect_dead_peers(socket: &impl AsFd) {
    let _ = setsockopt(socket, sockopt::KeepAlive, &true);
    let _ = setsockopt(socket, sockopt::TcpKeepIdle, &IDLE);
    let _ = setsockopt(socket, sockopt::TcpKeepInterval, &INTERVAL);
    let _ = setsockopt(socket, sockopt::TcpKeepCount, &PROBES);
}

/// Says whether somebody listens at a unix socket; a full backlog (EAGAIN) is somebody too.
#[must_use]
pub fn is_served(path: &Path) -> bool {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let tried = socket(AddressFamily::Unix, SockType::Stream, flags, None)
        .and_then(|socket| connect(socket.as_raw_fd(), &UnixAddr::new(path)?));
    tried != Err(Errno::ECONNREFUSED)
}

/// Counts the written bytes that the other end has not acknowledged, a pending end included (SIOCOUTQ, tcp(7)); 0
/// where the socket cannot tell.
#[must_use]
pub fn unacknowledged(socket: BorrowedFd<'_>) -> usize {
    let mut count: libc::c_int = 0;
    #[expect(unsafe_code, reason = "SIOCOUTQ has no safe wrapper")]
    // SAFETY: SIOCOUTQ, which is TIOCOUTQ, stores one int, and `count` outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
    if result < 0 { 0 } else { usize::try_from(count).unwrap_or(0) }
}
