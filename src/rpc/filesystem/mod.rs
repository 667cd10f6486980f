//! `filesystem.Filesystem`: requests become [`crate::fs`] verbs, entries become messages.
//!
//! - `service` one method a call of the protocol
//! - `watch` events to a stream, with keepalives
//! - `listing` directories of any length
//! - `convert` values to messages, and how much of them an old client gets

mod convert;
mod listing;
mod service;
mod watch;

pub use service::Filesystem;
