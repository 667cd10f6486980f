//! Syscalls of a request at a kept-alive client.

use crate::measure::messages;
use crate::measure::trace::{Trace, per_request, typical};
use crate::{Figure, limits, within};

/// Requests of each kind: what only some of them do is not counted.
const REQUESTS: usize = 40;

#[track_caller]
fn count(what: &str, marker: &str, limit: u64, prepare: impl Fn(&crate::measure::client::Client) -> (Vec<u8>, u16)) {
    let agent = crate::agent();
    let mut client = agent.client();
    let (request, status) = prepare(&client);
    client.call(&request, status);
    let trace = Trace::attach(agent.pid);
    let calls = trace.during(|| {
        for _ in 0..REQUESTS {
            client.call(&request, status);
        }
    });
    let (count, which) = typical(&per_request(&calls, marker));
    println!("{which}");
    within(&[Figure(what, count as u64, limit, "syscalls")]);
}

#[test]
fn a_start_takes_few_syscalls() {
    let prepare = |client: &_| (messages::start(client, &["true"]), 200);
    count("Start", "POST /process.Process/Start", limits::START_SYSCALLS, prepare);
}

#[test]
fn a_stat_takes_few_syscalls() {
    let prepare = |client: &_| (messages::stat(client, messages::WARM), 200);
    count("Stat", "POST /filesystem.Filesystem/Stat", limits::STAT_SYSCALLS, prepare);
}

#[test]
fn a_health_check_takes_few_syscalls() {
    let prepare = |client: &crate::measure::client::Client| (client.prepare("GET", "/health", "", b""), 204);
    count("/health", "GET /health", limits::HEALTH_SYSCALLS, prepare);
}
