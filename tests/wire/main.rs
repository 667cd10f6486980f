//! Laws of the wire, over real sockets: what a client sees, whatever it speaks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod client;
mod deadlines;
mod errors;
mod http;
mod json;
mod limits;
mod metadata;
mod server;
mod streams;
mod zip;
