//! The built daemon, driven from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod activity;
mod auth;
mod daemon;
mod freeze;
mod grpc;
mod guest;
mod init;
mod listen;
mod listing;
mod parting;
mod parting_http2;
mod ports;
mod process_end;
mod process_input;
mod process_output;
mod process_start;
mod supervise;
