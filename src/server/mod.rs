//! The port: listeners, connections, and what every request passes before a face sees it.
//!
//! - [`address`] where to listen, [`bind`](mod@bind) doing it, [`accept`] one task a connection
//! - `head` the time that a client has for a request head
//! - `linger` reading on, so that a refusal reaches a client that still sends
//! - [`stack`] the order of the layers, with reasons: [`cors`], [`auth`], then the faces

pub mod accept;
pub mod address;
pub mod auth;
pub mod bind;
pub mod cors;
mod head;
mod linger;
pub mod stack;

pub use accept::{Settings, serve};
pub use address::Address;
pub use bind::{BindError, Listener, bind};
use linger::let_finish;
