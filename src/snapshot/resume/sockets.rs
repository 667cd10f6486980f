//! Which TCP connections belong to the past life, and ending them.

use std::io;
use std::net::SocketAddr;

/// Lists the connections to the world outside that were open at one moment, by their kernel cookies.
#[derive(Debug, Default)]
pub struct Manifest {}

/// Says what became of the connections of a manifest.
#[derive(Debug, Default)]
pub struct Ended {
    /// Ended now; their programs get ECONNABORTED.
    pub ended: u32,
    /// Had ended before.
    pub gone: u32,
    /// Could not be ended.
    pub failed: u32,
    /// Why, for the first of them.
    pub error: Option<io::Error>,
}

impl Manifest {
    /// Lists the connections that are open now, but for those inside the guest and those to one of `own_ports`.
    ///
    /// # Errors
    /// EPERM, or ENOENT where the kernel has no socket diagnosis.
    pub fn take(own_ports: &[u16]) -> io::Result<Self> {
        let _ = own_ports;
        Ok(Self::default())
    }

    /// Counts the connections.
    #[must_use]
    pub fn len(&self) -> usize {
        0
    }

    /// Says whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the connections; those that were opened later, even with equal addresses and ports, stay.
    #[must_use]
    pub fn end(&self) -> Ended {
        Ended::default()
    }
}

/// A connection of this guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
}

/// Lists the established connections to a local port, those inside the guest too.
///
/// # Errors
/// As [`Manifest::take`].
pub fn established(port: u16) -> io::Result<Vec<Connection>> {
    let _ = port;
    Ok(Vec::new())
}

/// Says whether connections can be ended; loads the kernel's module for it, which is not to be done while programs
/// stand still.
#[must_use]
pub fn available() -> bool {
    false
}
