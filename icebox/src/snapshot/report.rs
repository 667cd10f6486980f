//! How long it took, and how much room it takes.

use std::time::{Duration, Instant};

use serde_json::Value;

/// What a snapshot takes on the disk, in bytes; holes are not counted, and neither are layers of other VMs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// The guest's memory.
    pub memory: u64,
    /// The state of its devices.
    pub devices: u64,
    /// All layers of its disk.
    pub disk: u64,
}

impl Bytes {
    /// All together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.memory + self.devices + self.disk
    }
}

/// A pause, phase by phase.
#[derive(Clone, Debug, Default)]
pub struct PauseReport {
    /// The guest got ready.
    pub freeze: Duration,
    /// Its CPUs stopped, its disk was flushed.
    pub stop: Duration,
    /// Memory and devices were written.
    pub save: Duration,
    /// The disk's layers joined, the manifest was written and all got its name; with [`durable`](super::Pause::durable)
    /// it went to the disk too.
    pub commit: Duration,
    /// QEMU ended.
    pub quit: Duration,
    /// From the request to the end of QEMU.
    pub total: Duration,
    /// What it takes on the disk.
    pub bytes: Bytes,
    /// What the companion got for its freeze.
    pub frozen: Option<Value>,
}

/// A resume, phase by phase.
#[derive(Clone, Debug, Default)]
pub struct ResumeReport {
    /// A layer was put on the disk and QEMU started.
    pub spawn: Duration,
    /// Devices were loaded.
    pub load: Duration,
    /// The CPUs go on.
    pub cont: Duration,
    /// The agent answered and the companion was done.
    pub thaw: Duration,
    /// From the request on.
    pub total: Duration,
    /// What the companion got for its thaw.
    pub thawed: Option<Value>,
}

/// Splits time into phases.
pub(super) struct Phases {
    start: Instant,
    last: Instant,
}

impl Phases {
    pub(super) fn new() -> Self {
        let start = Instant::now();
        Self { start, last: start }
    }

    /// Since the phase before.
    pub(super) fn next(&mut self) -> Duration {
        let now = Instant::now();
        let took = now - self.last;
        self.last = now;
        took
    }

    pub(super) fn total(&self) -> Duration {
        self.last - self.start
    }
}
