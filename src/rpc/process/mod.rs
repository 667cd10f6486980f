//! `process.Process`: requests become [`crate::process`] verbs, output becomes events.
//!
//! - `service` one method a call of the protocol
//! - `convert` messages to values and back; everything that a request can get wrong
//! - `stream` output to events, with keepalives

mod convert;
mod service;
mod stream;

pub use service::Process;
