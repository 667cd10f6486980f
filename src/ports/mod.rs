//! Servers that listen on loopback addresses only, reached from outside at the guest's address.
//!
//! A development server says `127.0.0.1:3000`, and its user wants to see it through the host's proxy, which comes to
//! the guest's address. Nothing here listens, copies or waits: two small programs in the kernel hand the connection
//! itself to the server, and the agent sleeps.
//!
//! ```text
//! listen(127.0.0.1:3000) --> notice --> map: port -> socket          SYN to 10.0.2.15:3000 --> steer --> that socket
//! ```
//!
//! - `notice` learns who listens; `steer` chooses who takes a connection; `layout` what both agree on
//! - `maps` what they remember, in the kernel; `present` who listened before them
//! - [`Ports`] holds both attached; they go with it, however the agent ends
//!
//! # Rules
//! A server on the address that was called, or on all of them, comes first, and the ports of the agent are never
//! handed to anybody else. A server on `::1` takes IPv4 too, as on any address, unless it said that it does not
//! (`IPV6_V6ONLY`). Connections to loopback addresses are not touched, nor are those of other network namespaces
//! (containers in the guest). All of it is memory of the kernel, so it is the same after a pause.

mod assembler;
mod attach;
mod layout;
mod maps;
mod notice;
mod present;
mod steer;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use attach::{Ports, PortsError};

/// Says where servers are looked for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Servers in this cgroup (of version 2) and those below it are reached: usually the root, which has everybody.
    pub cgroup: PathBuf,
}
