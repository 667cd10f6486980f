//! Many calls, by one client or by several at once.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use super::agent::Agent;
use super::client::Client;
use super::counters;

/// What many calls took.
#[derive(Debug)]
pub struct Load {
    /// How long each took, the shortest first.
    sorted: Vec<Duration>,
    /// How long all took.
    pub wall: Duration,
    /// CPU time of the agent for all.
    pub cpu: Duration,
    /// CPU time of the children that the agent waited for.
    pub children: Duration,
}

impl Load {
    /// Calls `work` `each` times in each of `clients` threads, each with a connection of its own and after calls that
    /// do not count.
    pub fn run(agent: &Agent, clients: usize, each: usize, work: impl Fn(&mut Client, usize) + Sync) -> Self {
        let gate = Barrier::new(clients + 1);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..clients)
                .map(|number| {
                    let (gate, work) = (&gate, &work);
                    scope.spawn(move || {
                        let mut client = agent.client();
                        (0..WARM_UP).for_each(|_| work(&mut client, number));
                        gate.wait();
                        gate.wait();
                        let calls = (0..each).map(|_| timed(|| work(&mut client, number)));
                        calls.collect::<Vec<_>>()
                    })
                })
                .collect();
            gate.wait();
            let (cpu, children) = (counters::cpu(agent.pid), counters::children_cpu(agent.pid));
            let started = Instant::now();
            gate.wait();
            let mut sorted: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            let wall = started.elapsed();
            sorted.sort();
            let cpu = counters::cpu(agent.pid) - cpu;
            Self { sorted, wall, cpu, children: counters::children_cpu(agent.pid) - children }
        })
    }

    pub fn calls(&self) -> usize {
        self.sorted.len()
    }

    /// The time that `hundredths` of the calls did not exceed.
    pub fn percentile(&self, hundredths: usize) -> Duration {
        self.sorted[(self.sorted.len() * hundredths / 100).min(self.sorted.len() - 1)]
    }

    pub fn per_second(&self) -> f64 {
        self.calls() as f64 / self.wall.as_secs_f64()
    }

    /// CPU microseconds of the agent for each call.
    pub fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.calls() as f64
    }

    /// CPU microseconds of its children for each call.
    pub fn children_each(&self) -> f64 {
        self.children.as_secs_f64() * 1e6 / self.calls() as f64
    }
}

/// Calls of each client before those that count.
const WARM_UP: usize = 10;

pub fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

/// The middle one.
pub fn median<T: Copy + PartialOrd>(values: impl IntoIterator<Item = T>) -> T {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values[values.len() / 2]
}
