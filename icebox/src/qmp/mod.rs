//! Keeps the talk with one QEMU: commands with ids and deadlines, events, descriptors handed over.
//!
//! The monitor is one end of a socket pair that QEMU got as its standard input (`-chardev socket,fd=0`): there is no
//! socket file to make, to find or to be too long, nobody else can connect, and the end of QEMU is the end of the
//! stream. One task owns our end; [`Qmp`] is a handle to it. The protocol is QEMU's `docs/interop/qmp-spec`.

mod client;
mod error;
mod message;

pub use client::{COMMAND_LIMIT, Event, Events, Qmp};
pub use error::QmpError;
