//! Carrying connections to servers that cannot be handed them.
//!
//! Those that listen for IPv6 and are called by IPv4, or the other way round, and those whose sockets the kernel's map
//! does not take (multipath TCP). One socket takes the connections of all their ports; nothing is done while there
//! are none. The server sees a connection from loopback, as it does of a proxy.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::maps::Maps;
use crate::base::Tasks;

/// Most connections at a time; more wait to be taken. Each costs two descriptors and two buffers.
const MOST: usize = 512;
/// Bytes on the way, each way.
const BUFFER: usize = 16 << 10;
/// Before asking again when no connection can be taken, which is for want of descriptors or memory.
const BREATH: Duration = Duration::from_millis(100);

/// Holds the socket that connections are handed to, until it is started.
#[derive(Debug)]
pub struct Relay {
    socket: std::net::TcpListener,
    port: u16,
    maps: Maps,
}

impl Relay {
    /// Puts a socket, on any port, into the maps.
    ///
    /// It is bound to a loopback address so that nobody else reaches it, and to one of IPv4 written in IPv6 because
    /// such a socket takes both families, unlike one on `::1`.
    pub(super) fn open(maps: Maps) -> io::Result<Self> {
        let mapped: SocketAddr = (Ipv4Addr::LOCALHOST.to_ipv6_mapped(), 0).into();
        let plain: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        let socket = std::net::TcpListener::bind(mapped).or_else(|_| std::net::TcpListener::bind(plain))?;
        socket.set_nonblocking(true)?;
        let port = socket.local_addr()?.port();
        // Nobody is to call it by its own name.
        maps.spare(port)?;
        maps.relay_by(socket.as_fd())?;
        Ok(Self { socket, port, maps })
    }

    /// Gives the maps, for the programs.
    pub(super) fn maps(&self) -> &Maps {
        &self.maps
    }

    /// Begins to carry connections; they end with the tasks. Needs a running runtime.
    ///
    /// # Errors
    /// When the socket cannot be registered with the runtime.
    pub fn start(self, tasks: &Tasks) -> io::Result<()> {
        let listener = TcpListener::from_std(self.socket)?;
        tasks.spawn(take(listener, self.port, Arc::new(self.maps), tasks.clone()));
        Ok(())
    }
}

async fn take(listener: TcpListener, own: u16, maps: Arc<Maps>, tasks: Tasks) {
    let room = Arc::new(Semaphore::new(MOST));
    // The semaphore is never closed.
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            // Called by its own name, and not through the program.
            Ok((client, _)) if client.local_addr().map_or(own, |address| address.port()) == own => {}
            Ok((client, _)) => tasks.spawn(carry(client, Arc::clone(&maps), permit)),
            Err(error) => {
                tracing::debug!(%error, "cannot take a connection to a loopback server");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// Carries both ways until both ends are done. A server that has gone meanwhile is told to the client by a reset.
async fn carry(mut client: TcpStream, maps: Arc<Maps>, _permit: OwnedSemaphorePermit) {
    let Ok(port) = client.local_addr().map(|address| address.port()) else { return };
    let server = match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Err(_) => TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await,
        taken => taken,
    };
    let Ok(mut server) = server else {
        let _ = client.set_zero_linger();
        if let Err(error) = maps.recount(port) {
            tracing::debug!(%error, port, "cannot count the servers of a port");
        }
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let _ = copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER).await;
}
