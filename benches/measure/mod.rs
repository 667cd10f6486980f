//! What the benchmark and the budget tests share: an agent to measure, the kernel's counters, a tracer of syscalls, and
//! a client that costs so little that the agent is what is measured.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "measuring")]

pub mod agent;
pub mod bulk;
pub mod client;
pub mod counters;
pub mod envelope;
pub mod load;
pub mod many;
pub mod messages;
pub mod output;
pub mod silence;
pub mod trace;
pub mod tree;
pub mod watched;
