//! An agent of which nothing is asked does nothing at all.

use std::time::Duration;

use crate::measure::silence::{State, listen};
use crate::{Figure, limits, within};

/// How long each agent is watched, twice; the benchmark watches longer.
const WATCHED: Duration = Duration::from_secs(5);

#[track_caller]
fn silent(state: &str) {
    let agent = crate::agent();
    let _state = State::reach(&agent, state);
    let noise = listen(&agent, WATCHED);
    within(&[
        Figure("wakeups", noise.switches, limits::IDLE_WAKEUPS, ""),
        Figure("syscalls", noise.syscalls as u64, limits::IDLE_SYSCALLS, ""),
        Figure("CPU", noise.cpu.as_nanos().try_into().unwrap(), limits::IDLE_CPU, "ns"),
    ]);
}

#[test]
fn an_agent_that_has_started_is_silent() {
    silent("fresh");
}

#[test]
fn an_agent_is_silent_after_a_thousand_commands() {
    silent("after 1,000 commands");
}

#[test]
fn an_agent_with_ten_watches_is_silent() {
    silent("10 watches");
}

#[test]
fn an_agent_with_an_idle_stream_is_silent() {
    silent("an idle stream");
}

#[test]
fn an_agent_is_silent_while_a_server_listens() {
    silent("a server listens");
}
