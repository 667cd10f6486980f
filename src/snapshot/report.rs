//! What was done, step by step: the one account that callers, logs and tests read.

use std::time::{Duration, Instant};

use super::disk;
use super::hooks;
use crate::workload::Straggler;

/// Tells of one freeze or thaw.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order in which they began.
    pub steps: Vec<Step>,
    /// Hooks and listeners that were asked.
    pub hooks: Vec<hooks::Outcome>,
    /// Programs that did not stop.
    pub stragglers: Vec<Straggler>,
    /// Filesystems that were to be frozen.
    pub filesystems: Vec<disk::Outcome>,
    /// Sentences about what could not be done and was not demanded.
    pub degradations: Vec<String>,
    /// From the request to its answer.
    pub total: Duration,
    /// Cgroups that stand still.
    pub cgroups_frozen: usize,
    /// How far the wall clock was stepped, in nanoseconds.
    pub clock_step_ns: i64,
    /// TCP connections that were ended.
    pub sockets_ended: usize,
    /// Where fresh random bytes came from; `None` where there was no need to ask.
    pub entropy: Option<&'static str>,
}

/// Tells of one step.
#[derive(Clone, Debug)]
pub struct Step {
    /// What was done.
    pub name: &'static str,
    /// Since the request.
    pub start: Duration,
    /// How long it took.
    pub took: Duration,
    /// Why it failed.
    pub error: Option<String>,
}

/// Writes a report while things are done.
#[derive(Debug)]
pub(super) struct Recorder {
    began: Instant,
    pub(super) report: Report,
    crash: Option<Crash>,
}

/// Where a test wants the agent to die, as a power failure of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// Before the step, or after it.
    pub before: bool,
    /// The step's name in reports.
    pub step: String,
}

impl std::str::FromStr for Crash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("before", step)) => Ok(Self { before: true, step: step.to_owned() }),
            Some(("after", step)) => Ok(Self { before: false, step: step.to_owned() }),
            _ => Err("neither before:STEP nor after:STEP"),
        }
    }
}

impl Recorder {
    pub(super) fn new(crash: Option<Crash>) -> Self {
        Self { began: Instant::now(), report: Report::default(), crash }
    }

    fn perhaps_crash(&self, before: bool, step: &str) {
        if self.crash.as_ref().is_some_and(|crash| crash.before == before && crash.step == step) {
            // The process ends here.
            let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
        }
    }

    /// Does a step that cannot wait.
    pub(super) fn step<T>(&mut self, name: &'static str, work: impl FnOnce(&mut Report) -> T) -> T {
        self.perhaps_crash(true, name);
        let start = self.began.elapsed();
        let result = work(&mut self.report);
        self.note(name, start);
        result
    }

    /// Does a step that can.
    pub(super) async fn wait<T>(&mut self, name: &'static str, work: impl Future<Output = T>) -> T {
        self.perhaps_crash(true, name);
        let start = self.began.elapsed();
        let result = work.await;
        self.note(name, start);
        result
    }

    /// Writes down why the latest step failed.
    pub(super) fn failed(&mut self, error: impl Into<String>) {
        if let Some(step) = self.report.steps.last_mut() {
            step.error = Some(error.into());
        }
    }

    pub(super) fn finish(mut self) -> Report {
        self.report.total = self.began.elapsed();
        self.report
    }

    fn note(&mut self, name: &'static str, start: Duration) {
        let took = self.began.elapsed().saturating_sub(start);
        self.report.steps.push(Step { name, start, took, error: None });
        self.perhaps_crash(false, name);
    }
}
