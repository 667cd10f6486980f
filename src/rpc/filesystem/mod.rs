//! `filesystem.Filesystem`: requests become [`crate::fs`] verbs, entries become messages.
//!
//! - `service` one method a call of the protocol
//! - `convert` values to messages, and how much of them an old client gets

mod convert;
mod service;

pub use service::Filesystem;
