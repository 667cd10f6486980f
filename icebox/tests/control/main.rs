//! The control plane in front of real VMs: each call as SDKs make it, and `icebox serve` as a program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod copies;
mod life;
mod lists;
mod program;
mod refused;
mod support;
