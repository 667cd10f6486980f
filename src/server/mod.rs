//! The port: listeners, connections, and what every request passes before a face sees it.
//!
//! - [`address`] where to listen, [`bind`](mod@bind) doing it, [`accept`] one task a connection
//! - [`connections`] which are open, `part` how they end before a pause
//! - `head` the time that a client has for a request head, `served` the version of HTTP that it speaks, `http1` the one
//!   that we speak ourselves
//! - `linger` reading on, so that a refusal reaches a client that still sends
//! - `activity` which requests are use of the guest
//! - [`stack`] the order of the layers, with reasons: [`cors`], `admission`, [`auth`], then the faces

pub mod accept;
mod activity;
pub mod address;
mod admission;
pub mod auth;
pub mod bind;
pub mod connections;
pub mod cors;
mod head;
mod http1;
mod linger;
mod part;
mod served;
pub mod stack;

pub use accept::{Settings, serve};
pub use address::Address;
pub use bind::{BindError, Listener, bind};
pub use connections::Connections;
use linger::let_finish;
