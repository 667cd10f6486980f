//! Opening listeners.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_vsock::{VsockAddr, VsockListener};

use super::Address;

/// Says which listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address}")]
pub struct BindError {
    /// Where.
    pub address: Address,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Accepts connections of one kind.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
    /// A vsock.
    Vsock(VsockListener),
}

/// Carries a connection's bytes, whatever it runs over.
pub type Stream = Pin<Box<dyn Connection>>;

/// Sums up what serving needs of a connection.
pub trait Connection: AsyncRead + AsyncWrite + AsFd + Send {}

impl<T: AsyncRead + AsyncWrite + AsFd + Send> Connection for T {}

/// Opens a listener. Needs a running runtime.
///
/// # Errors
/// What the system said: EADDRINUSE, EACCES, EAFNOSUPPORT where vsock is not compiled in.
pub async fn bind(address: &Address) -> Result<Listener, BindError> {
    let failed = |source| BindError { address: address.clone(), source };
    match address {
        Address::Tcp(address) => TcpListener::bind(address).await.map(Listener::Tcp).map_err(failed),
        Address::Unix(path) => bind_unix(path).map(Listener::Unix).map_err(failed),
        Address::Vsock { cid, port } => {
            VsockListener::bind(VsockAddr::new(*cid, *port)).map(Listener::Vsock).map_err(failed)
        }
    }
}

/// Takes over the socket file of an agent that died; one that is served is left alone.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket()) {
        match crate::sys::socket::is_served(path) {
            true => return Err(io::ErrorKind::AddrInUse.into()),
            false => std::fs::remove_file(path)?,
        }
    }
    let listener = UnixListener::bind(path)?;
    // Whoever may connect may act as any user, so this is the agent's own user until somebody widens it.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Listener {
    /// Waits for the next connection.
    ///
    /// # Errors
    /// Those of `accept`: of the one connection, or EMFILE and its like of the machine.
    pub async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Without it each small answer waits about 40 ms for an acknowledgement.
                let _ = stream.set_nodelay(true);
                crate::sys::socket::expect_dead_peers(&stream);
                Ok(Box::pin(stream))
            }
            Self::Unix(listener) => Ok(Box::pin(listener.accept().await?.0)),
            Self::Vsock(listener) => Ok(Box::pin(listener.accept().await?.0)),
        }
    }

    /// Tells the TCP address that was really bound, for port 0.
    #[must_use]
    pub fn local_tcp(&self) -> Option<std::net::SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) | Self::Vsock(_) => None,
        }
    }
}
