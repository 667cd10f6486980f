//! Ports of the guest on the host.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use rustix::net::listen;

use super::command::{NET, forward};
use super::error::VmError;
use super::process::Process;
use crate::qmp::Qmp;

/// Connections that may wait until QEMU takes them; the kernel cuts it to `net.core.somaxconn`.
const QUEUE: i32 = 1024;

/// A port of the guest that can be reached from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// In the guest.
    pub guest_port: u16,
    /// On the host, on the loopback address.
    pub host_port: u16,
}

impl Forward {
    /// Where to connect to. QEMU takes the connection whether or not somebody listens in the guest.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.host_port).into()
    }
}

/// Asks QEMU which ports it forwards, and lets many connect to each at once.
pub(super) async fn list(qmp: &Qmp, process: &Process) -> Result<Vec<Forward>, VmError> {
    let listeners = parse(&qmp.human("info usernet").await?);
    for listener in &listeners {
        if let Err(error) = listener.widen(process) {
            tracing::warn!(%error, port = listener.forward.guest_port, "many connections at once may be slow or break");
        }
    }
    Ok(listeners.into_iter().map(|listener| listener.forward).collect())
}

/// Forwards one more port.
pub(super) async fn add(qmp: &Qmp, process: &Process, guest_port: u16) -> Result<Forward, VmError> {
    let said = qmp.human(&format!("hostfwd_add {NET} {}", forward(guest_port))).await?;
    let found = list(qmp, process).await?.into_iter().find(|forward| forward.guest_port == guest_port);
    found.ok_or_else(|| VmError::Forward { guest_port, said: said.trim().into() })
}

/// Forwards a port no more; connections through it stay.
pub(super) async fn remove(qmp: &Qmp, forward: Forward) -> Result<(), VmError> {
    let said = qmp.human(&format!("hostfwd_remove {NET} tcp:127.0.0.1:{}", forward.host_port)).await?;
    if said.contains("removed") {
        return Ok(());
    }
    Err(VmError::Forward { guest_port: forward.guest_port, said: said.trim().into() })
}

/// Where QEMU takes the connections to a port.
struct Listener {
    forward: Forward,
    /// Its number in QEMU.
    descriptor: i32,
}

impl Listener {
    /// Makes room for clients that connect at once: libslirp listens with room for one. Others would wait for a
    /// second, and some of those that send much be reset: where the queue is full the kernel answers with SYN cookies,
    /// which hold only for the first segment of what is sent (tcp(7), `tcp_syncookies`).
    fn widen(&self, process: &Process) -> io::Result<()> {
        // On a socket that listens already this changes the length of its queue, and nothing else.
        Ok(listen(process.open_file(self.descriptor)?, QUEUE)?)
    }
}

/// Reads the table of `info usernet`: protocol, descriptor, source address and port, destination address and port.
fn parse(table: &str) -> Vec<Listener> {
    let listener = |line: &str| {
        let mut words = line.split_whitespace();
        let (protocol, descriptor) = (words.next()?, words.next()?.parse().ok()?);
        let (host_port, guest_port) = (words.nth(1)?.parse().ok()?, words.nth(1)?.parse().ok()?);
        (protocol == "TCP[HOST_FORWARD]").then_some(Listener { forward: Forward { guest_port, host_port }, descriptor })
    };
    table.lines().filter_map(listener).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwards_are_found_among_connections() {
        let table = "Hub -1 (net0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n\
            \x20 TCP[ESTABLISHED]  12       127.0.0.1 35000       10.0.2.15 49983     0     0\r\n\
            \x20 TCP[HOST_FORWARD]  8       127.0.0.1 42787       10.0.2.15 49983     0     0\r\n\
            \x20 TCP[HOST_FORWARD]  3       127.0.0.1 40783       10.0.2.15  8000     0     0\r\n\
            \x20 UDP[236 sec]       9       10.0.2.15 40000        10.0.2.3    53     0     0\r\n";
        let found = parse(table);
        let found = found.iter().map(|found| (found.forward.guest_port, found.forward.host_port, found.descriptor));
        assert_eq!(found.collect::<Vec<_>>(), [(49983, 42787, 8), (8000, 40783, 3)]);
    }
}
