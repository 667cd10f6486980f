//! Ports of the guest on the host.

use std::net::{Ipv4Addr, SocketAddr};

use super::command::{NET, forward};
use super::error::VmError;
use crate::qmp::Qmp;

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

/// Asks QEMU which ports it forwards.
pub(super) async fn list(qmp: &Qmp) -> Result<Vec<Forward>, VmError> {
    Ok(parse(&qmp.human("info usernet").await?))
}

/// Forwards one more port.
pub(super) async fn add(qmp: &Qmp, guest_port: u16) -> Result<Forward, VmError> {
    let said = qmp.human(&format!("hostfwd_add {NET} {}", forward(guest_port))).await?;
    let found = list(qmp).await?.into_iter().find(|forward| forward.guest_port == guest_port);
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

/// Reads the table of `info usernet`: protocol, descriptor, source address and port, destination address and port.
fn parse(table: &str) -> Vec<Forward> {
    let forward = |line: &str| {
        let mut words = line.split_whitespace();
        let (protocol, host_port, guest_port) = (words.next()?, words.nth(2)?, words.nth(1)?);
        (protocol == "TCP[HOST_FORWARD]")
            .then_some(Forward { guest_port: guest_port.parse().ok()?, host_port: host_port.parse().ok()? })
    };
    table.lines().filter_map(forward).collect()
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
        let pairs: Vec<_> = parse(table).iter().map(|forward| (forward.guest_port, forward.host_port)).collect();
        assert_eq!(pairs, [(49983, 42787), (8000, 40783)]);
    }
}
