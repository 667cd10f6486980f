//! What the released agent may cost, in counts that do not depend on the machine: bytes, pages, wakeups, syscalls.
//!
//! `scripts/test budget` builds the binary and runs these; each limit is in `limits`. `cargo bench --bench agent`
//! measures the same and more, with times.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, reason = "tests")]

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

/// What was measured, and what may be at the most.
struct Figure<'a>(&'a str, u64, u64, &'a str);

/// Prints figures, and fails when one is above its limit.
#[track_caller]
fn within(figures: &[Figure<'_>]) {
    let say = |Figure(what, value, limit, unit): &Figure<'_>| format!("{what}: {value} {unit}, limit {limit}");
    figures.iter().for_each(|figure| println!("{}", say(figure)));
    let above: Vec<_> = figures.iter().filter(|figure| figure.1 > figure.2).map(say).collect();
    assert!(above.is_empty(), "above the limit: {}", above.join("; "));
}
