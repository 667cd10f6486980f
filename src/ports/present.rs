//! Who listens already when the programs are attached: servers that are older than the agent, or outlived one.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::layout::Place;
use super::maps::Maps;

/// `TCP_LISTEN` as the tables write it.
const LISTENING: &str = "0A";
/// The tables of TCP sockets (proc_net_tcp.rst), of the thread's own network. Not asked of sock_diag(7), which small
/// kernels are built without.
const TABLES: [&str; 2] = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"];

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listening {
    /// Where.
    pub(super) address: SocketAddr,
    /// The number by which descriptors of it are known.
    pub(super) inode: u64,
}

/// Lists the sockets that listen; a kernel without IPv6 has none there.
pub(super) fn listening() -> Vec<Listening> {
    let tables: Vec<_> = TABLES.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    tables.iter().flat_map(|table| parse(table)).collect()
}

/// Puts those on loopback addresses into the map of sockets; says how many could not be put there, and are relayed.
///
/// Their descriptors are found in one walk through `/proc`, which is left out where nobody listens so.
///
/// # Errors
/// When `/proc` cannot be read.
pub(super) fn adopt(maps: &Maps) -> io::Result<usize> {
    let inside = |socket: Listening| Some((format!("socket:[{}]", socket.inode), Place::of(socket.address).inside?));
    let mut wanted: HashMap<String, u32> = listening().into_iter().filter_map(inside).collect();
    if wanted.is_empty() {
        return Ok(0);
    }
    for process in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        for entry in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            let Ok(link) = fs::read_link(entry.path()) else { continue };
            let Some((link, &key)) = link.to_str().and_then(|link| Some((link, wanted.get(link)?))) else { continue };
            let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let socket = number.and_then(|number| borrow(pid, number).ok());
            if socket.is_some_and(|socket| maps.keep(key, socket.as_fd()).is_ok()) {
                wanted.remove(link);
            }
        }
    }
    Ok(wanted.len())
}

/// Duplicates a descriptor of another process.
fn borrow(pid: Pid, number: i32) -> io::Result<OwnedFd> {
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    Ok(pidfd_getfd(process, number, PidfdGetfdFlags::empty())?)
}

fn parse(table: &str) -> impl Iterator<Item = Listening> {
    table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let address = fields.nth(1)?;
        // The remote address stands between.
        if fields.nth(1)? != LISTENING {
            return None;
        }
        // Queues, timer, retransmissions, user, timeout.
        Some(Listening { address: self::address(address)?, inode: fields.nth(5)?.parse().ok()? })
    })
}

/// Reads an address: words of network order that were printed as numbers, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut octets = [0; 16];
    for (index, word) in octets.chunks_exact_mut(4).enumerate().take(ip.len() / 8) {
        let number = u32::from_str_radix(ip.get(8 * index..8 * index + 8)?, 16).ok()?;
        word.copy_from_slice(&number.to_ne_bytes());
    }
    match ip.len() {
        8 => Some((Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]), port).into()),
        32 => Some((Ipv6Addr::from(octets), port).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_from_both_tables_and_nothing_else_is() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0\n\
            1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 20\n\
            2: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 9 1\n";
        let found: Vec<_> = parse(table).map(|socket| (socket.address.to_string(), socket.inode)).collect();
        assert_eq!(found, [("127.0.0.1:8080".to_owned(), 4711), ("[::1]:22".to_owned(), 9)]);
    }
}
