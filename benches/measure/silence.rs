//! What an agent does while nothing is asked of it.

use std::net::TcpListener;
use std::time::Duration;

use super::agent::Agent;
use super::client::Client;
use super::counters;
use super::messages;
use super::trace::Trace;

/// What happened in a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise {
    /// Wakeups of all threads.
    pub switches: u64,
    /// With no CPU time no page was written either.
    pub cpu: Duration,
    pub syscalls: usize,
}

/// A state of the agent that could cost something.
pub struct State<'a> {
    agent: &'a Agent,
    /// Open streams.
    clients: Vec<Client>,
    program: Option<u32>,
    server: Option<TcpListener>,
}

/// The states in which an agent must be silent, by name.
pub const STATES: [&str; 5] = ["fresh", "after 1,000 commands", "10 watches", "an idle stream", "a server listens"];

impl<'a> State<'a> {
    /// Brings the agent into one of [`STATES`], for as long as this lives.
    pub fn reach(agent: &'a Agent, name: &str) -> Self {
        let mut state = Self { agent, clients: Vec::new(), program: None, server: None };
        match name {
            "after 1,000 commands" => messages::run(&mut agent.client(), &["true"], 1000),
            "10 watches" => {
                let watch = |number| {
                    let folder = agent.path(&format!("watched{number}"));
                    std::fs::create_dir_all(&folder).unwrap();
                    messages::watch(agent.client(), &folder)
                };
                state.clients = (0..10).map(watch).collect();
            }
            "an idle stream" => {
                let mut client = agent.client();
                let request = messages::start(&client, &["sleep", "1000"]);
                state.program = Some(messages::pid(&messages::open(&mut client, &request)));
                state.clients.push(client);
            }
            "a server listens" => state.server = Some(TcpListener::bind("127.0.0.1:0").unwrap()),
            _ => {
                agent.client().get("/health", 204);
            }
        }
        state
    }
}

impl Drop for State<'_> {
    fn drop(&mut self) {
        if let Some(program) = self.program {
            messages::kill(&mut self.agent.client(), program);
        }
    }
}

/// Watches an agent for a while without a tracer, and for as long again with one.
pub fn listen(agent: &Agent, time: Duration) -> Noise {
    counters::settle(agent.pid);
    let (switches, cpu) = (counters::switches(agent.pid), counters::cpu(agent.pid));
    std::thread::sleep(time);
    let (switches, cpu) = (switches.until(&counters::switches(agent.pid)), counters::cpu(agent.pid) - cpu);
    let trace = Trace::attach(agent.pid);
    let syscalls = trace.during(|| std::thread::sleep(time)).len();
    Noise { switches, cpu, syscalls }
}
