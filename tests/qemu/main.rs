//! The agent in real VMs: paused to files, with QEMU gone, and resumed, once or in copies.
//!
//! Each test has a guest of its own, copied from a template that the first one boots (`icebox::guest`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod clock;
mod clones;
mod crash;
mod cycles;
mod disk;
mod guests;
mod host;
mod hostile;
mod life;
mod meter;
mod notice;
mod output;
mod pages;
mod ports;
mod quiet;
mod survive;
