//! What went through TCP connections and when, as the kernel counts it (`struct tcp_info`, include/uapi/linux/tcp.h).

use std::io;
use std::time::Duration;

use nix::libc;

use super::diag::{Connection, ESTABLISHED, LIST, LISTEN};
use super::{Attributes, Socket};

/// INET_DIAG_INFO, as the type of an attribute.
const INFO: u16 = 2;
/// The same as a wish for it.
const INFO_WISH: u8 = 1 << (INFO - 1);
/// Length of `struct inet_diag_msg`.
const HEAD: usize = 72;
/// Where `tcpi_last_data_sent` stands in `struct tcp_info`, milliseconds.
const LAST_SENT: usize = 44;
/// Where `tcpi_last_data_recv` stands, milliseconds.
const LAST_RECEIVED: usize = 52;
/// Where `tcpi_bytes_received` stands, since 4.1.
const RECEIVED: usize = 128;

/// Tells what went through one established connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How long ago data was last sent; time since the machine's start when it never was.
    pub sent: Duration,
    /// How long ago data was last received, or the connection was made.
    pub received: Duration,
    /// Bytes of data received.
    pub bytes_received: u64,
}

impl Traffic {
    /// Reads what the kernel told; an older one tells less.
    fn read(info: &[u8]) -> Self {
        let millis = |at: usize| {
            let value = info.get(at..).and_then(|rest| rest.first_chunk()).copied().map(u32::from_ne_bytes);
            Duration::from_millis(value.unwrap_or(u32::MAX).into())
        };
        let bytes = info.get(RECEIVED..).and_then(|rest| rest.first_chunk()).copied().map(u64::from_ne_bytes);
        Self { sent: millis(LAST_SENT), received: millis(LAST_RECEIVED), bytes_received: bytes.unwrap_or_default() }
    }
}

/// Hands the local port of each TCP listener to `each`; a port may come twice.
///
/// # Errors
/// ENOENT where the kernel cannot list connections.
pub fn listeners(socket: &mut Socket, mut each: impl FnMut(u16)) -> io::Result<()> {
    super::diag::connections(socket, LISTEN, |listener| each(listener.local().port()))
}

/// Hands each established TCP connection and its traffic to `each`, IPv4 first.
///
/// # Errors
/// ENOENT where the kernel cannot list connections.
pub fn established(socket: &mut Socket, mut each: impl FnMut(&Connection, Traffic)) -> io::Result<()> {
    for family in [libc::AF_INET, libc::AF_INET6] {
        let mut question = Connection::nowhere(family).request_with(LIST, ESTABLISHED, INFO_WISH);
        socket.dump(&mut question, |_, body| {
            if let (Some(connection), Some(info)) = (Connection::read(body), Attributes::after(body, HEAD).find(INFO)) {
                each(&connection, Traffic::read(info));
            }
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::super::scratch::up;
    use super::super::{Family, Follow};
    use super::*;
    use crate::sys::namespace::apart;

    #[test]
    fn what_was_received_and_when_is_told() {
        let (port, listening, found) = apart(|| {
            up("lo");
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            client.write_all(&[7; 1000]).unwrap();
            server.read_exact(&mut [0; 1000]).unwrap();
            let mut socket = Socket::open(Family::Sockets, Follow::Nothing).unwrap();
            let (mut listening, mut found) = (Vec::new(), Vec::new());
            listeners(&mut socket, |port| listening.push(port)).unwrap();
            established(&mut socket, |connection, traffic| found.push((connection.local().port(), traffic))).unwrap();
            (port, listening, found)
        });
        assert_eq!((listening, found.len()), (vec![port], 2));
        let (_, server) = found.iter().find(|(local, _)| *local == port).unwrap();
        let (_, client) = found.iter().find(|(local, _)| *local != port).unwrap();
        assert_eq!((server.bytes_received, client.bytes_received), (1000, 0));
        assert!(server.received < Duration::from_secs(10) && client.sent < Duration::from_secs(10), "{found:?}");
    }

    #[test]
    fn an_older_kernel_tells_less() {
        let mut info = vec![0; 104];
        info[LAST_RECEIVED] = 5;
        assert_eq!(
            Traffic::read(&info),
            Traffic { sent: Duration::ZERO, received: Duration::from_millis(5), bytes_received: 0 }
        );
        assert!(Traffic::read(&[]).received > Duration::from_secs(1_000_000));
    }
}
