//! Finding out that a peer is gone, by the kernel's timers and not by ours.

use std::os::fd::AsFd;

use nix::sys::socket::{setsockopt, sockopt};

/// Seconds of silence before the first probe.
const IDLE: u32 = 60;
/// Seconds between probes.
const INTERVAL: u32 = 15;
/// Unanswered probes after which the connection is dead.
const PROBES: u32 = 4;
/// Milliseconds that sent data may stay unacknowledged; the kernel's own answer would be 15 minutes (tcp(7)).
const UNACKNOWLEDGED: u32 = 120_000;

/// Turns on TCP keepalive and bounds unacknowledged data; a socket that is not TCP stays as it is.
pub fn expect_dead_peers(socket: &impl AsFd) {
    let _ = setsockopt(socket, sockopt::KeepAlive, &true);
    let _ = setsockopt(socket, sockopt::TcpKeepIdle, &IDLE);
    let _ = setsockopt(socket, sockopt::TcpKeepInterval, &INTERVAL);
    let _ = setsockopt(socket, sockopt::TcpKeepCount, &PROBES);
    let _ = setsockopt(socket, sockopt::TcpUserTimeout, &UNACKNOWLEDGED);
}
