//! Bytes on the disk and in memory.

use crate::measure::counters::{self, Memory};
use crate::measure::{agent, messages, tree};
use crate::{Figure, limits, within};

fn weigh(agent: &agent::Agent) -> Memory {
    counters::settle(agent.pid);
    counters::memory(agent.pid)
}

#[test]
fn the_binary_is_small() {
    within(&[Figure("binary", agent::released().metadata().unwrap().len(), limits::BINARY, "bytes")]);
}

#[test]
fn an_agent_that_has_started_holds_little_memory() {
    let agent = crate::agent();
    let memory = weigh(&agent);
    within(&[
        Figure("resident", memory.rss, limits::RSS_IDLE, "bytes"),
        Figure("private dirty", memory.private_dirty, limits::DIRTY_IDLE, "bytes"),
    ]);
}

#[test]
fn a_thousand_commands_leave_little_memory_behind() {
    let agent = crate::agent();
    messages::run(&mut agent.client(), &["true"], 1000);
    let memory = weigh(&agent);
    within(&[
        Figure("resident", memory.rss, limits::RSS_COMMANDS, "bytes"),
        Figure("private dirty", memory.private_dirty, limits::DIRTY_COMMANDS, "bytes"),
    ]);
}

#[test]
fn a_long_listing_leaves_little_memory_behind() {
    let agent = crate::agent();
    tree::plant(&agent.folder.join("tree"), 20_000);
    messages::list(&mut agent.client(), &agent.path("tree"), 3);
    let memory = weigh(&agent);
    within(&[
        Figure("resident", memory.rss, limits::RSS_LISTING, "bytes"),
        Figure("private dirty", memory.private_dirty, limits::DIRTY_LISTING, "bytes"),
    ]);
}
