//! Noticing a resume when nobody tells.

use std::sync::Arc;
use std::time::Duration;

use super::Clocks;

/// A sign that the guest was stopped and started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The hypervisor says so through the vmclock page; this is its generation counter. A new life for sure.
    Generation(u64),
    /// The kernel says so, after a change of the VM generation id. A new life for sure.
    Fork,
    /// True time has passed without us: so much at least.
    Gap(Duration),
}

/// Listens for signs; costs nothing while there is none.
#[derive(Debug)]
pub struct Signs {
    clocks: Arc<Clocks>,
}

impl Signs {
    /// Opens every source that this guest has; to be called on the runtime.
    #[must_use]
    pub fn open(clocks: Arc<Clocks>) -> Self {
        Self { clocks }
    }

    /// Waits for the next sign; for ever where there is no source. Cancel-safe.
    pub async fn next(&self) -> Sign {
        std::future::pending().await
    }

    /// Looks for a sign without waiting: when a connection comes or a program tells something. Costs a clock read
    /// when it was called within the last second.
    #[must_use]
    pub fn look(&self) -> Option<Sign> {
        self.clocks.noticed_pause().map(Sign::Gap)
    }

    /// Takes what has been signalled up to now as known, after a repair.
    pub fn settle(&self) {
        self.clocks.mark();
    }

    /// Says what this guest can do for a resume, by name: rng, clock, sock_destroy, net, ptp, rtc, vmclock, vmgenid.
    #[must_use]
    pub fn capabilities(&self) -> Vec<(&'static str, bool)> {
        Vec::new()
    }
}
