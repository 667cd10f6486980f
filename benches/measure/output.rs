//! The output of programs, much of it or unread.

use std::time::{Duration, Instant};

use prost::Message;
use thawd::proto::process::{ProcessConfig, StartRequest};

use super::agent::Agent;
use super::client::Client;
use super::counters;
use super::messages;

/// What passing on output took.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    pub bytes: u64,
    pub wall: Duration,
    /// CPU time of the agent.
    pub cpu: Duration,
    /// Its largest resident size meanwhile, in bytes.
    pub peak: u64,
}

/// Writes a Start without stdin, as protobuf.
fn start_binary(client: &Client, program: &[&str]) -> Vec<u8> {
    let args = program[1..].iter().map(ToString::to_string).collect();
    let process = ProcessConfig { cmd: program[0].to_owned(), args, ..ProcessConfig::default() };
    let request = StartRequest { process: Some(process), stdin: Some(false), ..StartRequest::default() };
    client.streaming(messages::START, "proto", &request.encode_to_vec())
}

/// Runs a program that writes `bytes` and reads them all.
#[track_caller]
pub fn pass(agent: &Agent, program: &[&str], bytes: u64, binary: bool) -> Passed {
    let mut client = agent.client();
    let request = if binary { start_binary(&client, program) } else { messages::start(&client, program) };
    counters::rest(agent.pid);
    counters::forget_peak(agent.pid);
    let (cpu, started) = (counters::cpu(agent.pid), Instant::now());
    let read = messages::whole(&mut client, &request);
    let (wall, cpu) = (started.elapsed(), counters::cpu(agent.pid) - cpu);
    read.assert_success();
    // Base64 makes four bytes of three.
    let least = if binary { bytes } else { bytes / 3 * 4 };
    assert!(read.bytes >= least && read.bytes < least + least / 20 + 65_536, "{} of {least} bytes", read.bytes);
    Passed { bytes, wall, cpu, peak: counters::peak(agent.pid) }
}

/// Starts programs that write more than is kept for them, reads nothing, and gives the resident size with all of them
/// stalled, in bytes.
pub fn stall(agent: &Agent, readers: usize) -> u64 {
    let open = |_| {
        let mut client = agent.client();
        let request = messages::start(&client, &["head", "-c", "67108864", "/dev/zero"]);
        let pid = messages::pid(&messages::open(&mut client, &request));
        (client, pid)
    };
    let stalled: Vec<_> = (0..readers).map(open).collect();
    counters::rest(agent.pid);
    let rss = counters::memory(agent.pid).rss;
    let mut client = agent.client();
    stalled.iter().for_each(|(_, pid)| messages::kill(&mut client, *pid));
    rss
}
