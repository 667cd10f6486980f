//! What can be said on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

use crate::measure::agent::Target;

/// Measures an agent and prints each figure with envd's and with the limit.
#[derive(Parser, Debug)]
#[command(name = "cargo bench --bench agent --")]
struct Line {
    /// Measure the agent that listens here, instead of the released binary
    #[arg(long, requires = "pid", value_name = "IP:PORT")]
    at: Option<SocketAddr>,
    /// Its process
    #[arg(long, requires = "at")]
    pid: Option<u32>,
    /// As whom to ask it, as Basic authorization says it: NAME:
    #[arg(long, value_name = "NAME:")]
    user: Option<String>,
    /// Measure the agent that listens here too, in turns with the other
    #[arg(long, requires = "beside_pid", value_name = "IP:PORT")]
    beside: Option<SocketAddr>,
    /// Its process
    #[arg(long, requires = "beside", value_name = "PID")]
    beside_pid: Option<u32>,
    /// How often each group is measured [default: 1, with --beside 3]
    #[arg(long)]
    rounds: Option<usize>,
    /// Write the figures here too, one line of JSON each
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure a hundredth, to see that all works
    #[arg(long)]
    small: bool,
    /// What cargo says to benchmarks
    #[arg(long, hide = true)]
    bench: bool,
    /// Groups of figures [default: all but the largest]
    #[arg(value_name = "GROUP")]
    groups: Vec<String>,
}

/// What to measure.
pub struct Options {
    pub target: Target,
    pub beside: Option<Target>,
    pub rounds: usize,
    pub sizes: Sizes,
    pub json: Option<PathBuf>,
    pub groups: Vec<String>,
}

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub small: bool,
}

impl Sizes {
    /// A number of calls or bytes, or a hundredth of it.
    pub fn of(self, full: usize) -> usize {
        if self.small { full.div_ceil(100) } else { full }
    }

    /// Seconds of silence.
    pub fn silence(self) -> std::time::Duration {
        std::time::Duration::from_secs(if self.small { 2 } else { 30 })
    }
}

impl Options {
    /// Reads the command line; says what is wrong with it and ends.
    pub fn parse<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let line = Line::parse();
        let names: Vec<_> = names.collect();
        if let Some(unknown) = line.groups.iter().find(|group| !names.contains(&group.as_str())) {
            eprintln!("no group {unknown}; there are {}", names.join(" "));
            std::process::exit(2);
        }
        let running = |address, pid| Target::Running { address, pid, user: line.user.clone() };
        let beside = line.beside.zip(line.beside_pid).map(|(address, pid)| running(address, pid));
        Self {
            target: line.at.zip(line.pid).map_or_else(Target::released, |(address, pid)| running(address, pid)),
            rounds: line.rounds.unwrap_or(if beside.is_some() { 3 } else { 1 }),
            beside,
            json: line.json,
            sizes: Sizes { small: line.small },
            groups: line.groups,
        }
    }
}
