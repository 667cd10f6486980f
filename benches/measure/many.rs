//! Many of a kind at once: streams, processes, watches.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

use super::agent::Agent;
use super::client::Client;
use super::counters;
use super::load::Load;
use super::messages;

/// What one of many costs the agent.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// How many there were.
    pub count: usize,
    /// Bytes of resident memory for each.
    pub rss: f64,
    /// Microseconds of CPU for each that was opened since the rung before.
    pub cpu: f64,
}

/// Opens more and more of a kind, and says at each rung what one of them costs.
pub fn ladder<T>(agent: &Agent, rungs: &[usize], mut open: impl FnMut(usize) -> T) -> (Vec<Share>, Vec<T>) {
    counters::rest(agent.pid);
    let rss = counters::memory(agent.pid).rss;
    let mut opened = Vec::new();
    let mut shares = Vec::new();
    for &count in rungs {
        let (had, cpu) = (opened.len(), counters::cpu(agent.pid));
        opened.extend((had..count).map(&mut open));
        counters::rest(agent.pid);
        let cpu = (counters::cpu(agent.pid) - cpu).as_secs_f64() * 1e6 / (count - had) as f64;
        let grown = counters::memory(agent.pid).rss.saturating_sub(rss);
        shares.push(Share { count, rss: grown as f64 / count as f64, cpu });
    }
    (shares, opened)
}

/// A program that waits, and the connection of its stream.
pub struct Waiting {
    pub client: Client,
    pub pid: u32,
}

/// Starts a program that does nothing and keeps its stream open.
pub fn idle_stream(agent: &Agent) -> Waiting {
    let mut client = agent.client();
    let request = messages::start(&client, &["sleep", "1000"]);
    let pid = messages::pid(&messages::open(&mut client, &request));
    Waiting { client, pid }
}

/// Attaches one more stream to a program.
pub fn attached(agent: &Agent, pid: u32) -> Client {
    let mut client = agent.client();
    let message = json!({"process": {"pid": pid}}).to_string();
    let request = client.streaming("process.Process/Connect", "json", message.as_bytes());
    messages::open(&mut client, &request);
    client
}

/// Ends programs.
pub fn end(agent: &Agent, programs: impl IntoIterator<Item = u32>) {
    let mut client = agent.client();
    programs.into_iter().for_each(|pid| messages::kill(&mut client, pid));
}

/// What could be left of processes.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    pub rss: u64,
    pub files: usize,
    pub children: usize,
}

/// Starts processes, several at a time, and waits for the end of each.
pub fn processes(agent: &Agent, count: usize) -> Left {
    const CLIENTS: usize = 4;
    Load::run(agent, CLIENTS, count.div_ceil(CLIENTS), |client, _| messages::run(client, &["true"], 1));
    counters::rest(agent.pid);
    let rss = counters::memory(agent.pid).rss;
    Left { rss, files: counters::files(agent.pid), children: counters::children(agent.pid) }
}

/// Lets this process, and the agents that it starts, open as many files as may be; gives how many: each stream is one
/// for each side.
pub fn allow_files() -> usize {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if most < FILES && setrlimit(Resource::RLIMIT_NOFILE, FILES, FILES).is_ok() {
        return usize::try_from(FILES).unwrap();
    }
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    usize::try_from(most).unwrap()
}

/// Ten thousand programs need fewer.
const FILES: u64 = 100_000;

/// Files for each program: its two outputs, its cgroup, its end, and some to spare for all else.
pub const FILES_OF_PROGRAM: usize = 5;
