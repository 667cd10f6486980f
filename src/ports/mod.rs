//! Servers that listen on loopback addresses only, reached from outside at the guest's address.
//!
//! A development server says `127.0.0.1:3000`, and its user wants to see it through the host's proxy, which comes to
//! the guest's address. Nothing polls or copies: two small programs in the kernel hand the connection
//! itself to the server, and the agent sleeps.
//!
//! ```text
//! listen(127.0.0.1:3000) --> notice --> map: port -> socket          SYN to 10.0.2.15:3000 --> steer --> that socket
//! ```
//!
//! - `notice` learns who listens; `steer` chooses who takes a connection; `layout` what both agree on
//! - `maps` what they remember, in the kernel; `present` who listened before them
//! - [`Relay`] carries the few connections that cannot be handed over
//! - [`Ports`] holds both programs attached; they go with it, however the agent ends
//!
//! # Rules
//! A server on the address that was called, or on all of them, comes first, and the ports of the agent are never
//! handed to anybody else. A server on `::1` is called by IPv4 too, and one on `127.0.0.1` by IPv6. Connections to loopback addresses are not touched, nor are those of other network namespaces
//! (containers in the guest). All of it is memory of the kernel, so it is the same after a pause.

mod assembler;
mod attach;
mod layout;
mod maps;
mod notice;
mod present;
mod relay;
mod steer;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use attach::{Ports, PortsError};
pub use relay::Relay;

/// Says where servers are looked for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Servers in this cgroup (of version 2) and those below it are reached: usually the root, which has everybody.
    pub cgroup: PathBuf,
}
