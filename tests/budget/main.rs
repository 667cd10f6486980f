//! What the released agent may cost, in counts that do not depend on the machine: bytes, pages, wakeups, syscalls.
//!
//! `scripts/test budget` builds the binary and runs these; each limit is in `limits`. `cargo bench --bench agent`
//! measures the same and more, with times.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../../benches/measure/mod.rs"]
mod measure;
#[path = "../support/mod.rs"]
mod support;

mod files;
mod footprint;
mod limits;
mod output;
mod scale;
mod silence;
mod syscalls;

use measure::agent::{Agent, Target};

/// Starts the released binary.
fn agent() -> Agent {
    Target::released().agent()
}

/// Fails when a figure is above its limit, and says both.
#[track_caller]
fn within(what: &str, value: u64, limit: u64, unit: &str) {
    println!("{what}: {value} {unit}, limit {limit}");
    assert!(value <= limit, "{what}: {value} {unit} are more than {limit}");
}
