//! Real VMs: what the host promises, and what is left when it cannot keep it.
//!
//! Each test starts from a copy of one template, which the first of them makes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod awake;
mod broken;
mod copies;
mod host;
mod pause;
mod program;
mod proxy;
mod sandboxes;
mod support;
