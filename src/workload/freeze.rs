//! Stopping the workload and letting it go on.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::audit::{self, Audit};
use super::cgroup;
use super::record::Record;
use super::settle::settle;
use super::straggler::{self, Straggler};
use super::sweep::{self, FIXED, Place, Plan};
use super::window::{Held, Window, tally};

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
    own: Option<PathBuf>,
    fixed: [Held; 2],
    window: Option<Window>,
}

impl Freezer {
    /// Opens what a thaw needs below `root`, the mount point of cgroup v2; without one there is nothing to freeze.
    #[must_use]
    pub fn new(root: Option<PathBuf>) -> Self {
        let fixed = FIXED.map(|name| match &root {
            Some(root) => Held::open(root.join(name)),
            None => Held { path: PathBuf::new(), freeze: None },
        });
        Self { root, own: None, fixed, window: None }
    }

    /// Says where below the root the agent itself runs, instead of asking the kernel.
    #[must_use]
    pub fn with_own(mut self, own: PathBuf) -> Self {
        self.own = Some(own);
        self
    }

    /// Opens a window: finds what the guest froze itself, before anything of ours is frozen. Freezing does this by
    /// itself; call it before, to write [`Freezer::record`] down first. Cancelling it changes nothing.
    pub async fn prepare(&mut self, mode: Mode) {
        let plan = self.plan();
        self.open(mode, plan.as_ref()).await;
    }

    /// Freezes, and waits at most `wait` until everything stands still; `None` looks once. What is frozen already is
    /// told again, so freezing twice is the same as once. Cancelling it leaves a state that [`Freezer::thaw`] undoes
    /// completely.
    pub async fn freeze(&mut self, mode: Mode, wait: Option<Duration>) -> Counts {
        let began = Instant::now();
        let plan = self.plan();
        self.open(mode, plan.as_ref()).await;
        let mut counts = Counts::default();
        let mut told = Vec::new();
        self.freeze_fixed(plan.as_ref(), &mut counts, &mut told);
        if let (Mode::Hierarchy { max_cgroups }, Some(plan), Some(window)) = (mode, &plan, &mut self.window) {
            counts.mode = mode;
            window.sweep(plan, bound(max_cgroups), &mut counts, &mut told).await;
        }
        counts.pre_frozen = self.window.as_ref().map_or(0, Window::guests);
        counts.sweep = began.elapsed();
        let settled = settle(&told, wait).await;
        counts.frozen = settled.frozen;
        counts.not_frozen = settled.not_frozen;
        counts.failed += settled.failed;
        counts.wait = began.elapsed() - counts.sweep;
        counts
    }

    /// Lets go what was frozen by us, and nothing that the guest froze. Only system calls, nothing to wait for. `user`
    /// and `ptys` are let go in any case. Without a window but with one of them frozen, an agent died in the middle:
    /// then the whole tree is let go, but for what [`Freezer::adopt`] was told.
    ///
    /// Until it is clean, the next one tries again.
    pub fn thaw(&mut self) -> ThawOutcome {
        let mut outcome = ThawOutcome::default();
        let window = self.window.take().or_else(|| self.leftover());
        for held in &mut self.fixed {
            if self.root.is_some() {
                tally(held.tell(false), &mut outcome);
            }
        }
        if let Some(mut window) = window {
            window.release(&mut outcome);
            if let Some(root) = self.root.as_deref().filter(|_| window.inherited) {
                window.release_tree(root, &mut outcome);
            }
            self.window = Some(window).filter(|_| !outcome.clean());
        }
        outcome
    }

    /// Whether something is frozen, or about to be, by this agent or by one that died.
    #[must_use]
    pub fn in_effect(&self) -> bool {
        self.window.is_some() || self.fixed.iter().any(Held::requested)
    }

    /// Says what a successor must know to thaw; `None` without a window. It can grow while a freeze sweeps.
    #[must_use]
    pub fn record(&self) -> Option<Record> {
        Some(self.window.as_ref()?.record(self.root.as_deref()?))
    }

    /// Takes over the freeze of an agent that died; without a record its freezes cannot be told from the guest's.
    pub fn adopt(&mut self, record: Record) {
        self.window = self.root.as_deref().map(|root| Window::inherit(root, record));
    }

    /// Compares what stands still with what a hierarchy freeze wanted, just before its thaw; `None` unless this very
    /// agent made one.
    #[must_use]
    pub fn audit(&self) -> Option<Audit> {
        let (plan, bound) = self.window.as_ref()?.sweep.as_ref()?;
        Some(audit::audit(self.root.as_deref()?, plan, *bound))
    }

    /// Lists threads that keep a cgroup from standing still, at most `limit`.
    #[must_use]
    pub fn stragglers(&self, limit: usize) -> Vec<Straggler> {
        let mut found = Vec::new();
        let Some((root, window)) = self.root.as_deref().zip(self.window.as_ref()) else { return found };
        for held in self.fixed.iter().chain(window.swept()) {
            if cgroup::events_at(&held.path).is_ok_and(|events| !events.frozen) {
                straggler::search(root, &held.path, limit, &mut found);
            }
        }
        found
    }

    /// Lends the open `cgroup.freeze` files: writing `0` at the start of each thaws, in any process that has them.
    /// `user` and `ptys` come first; after a sweep so do up to 1,024 of the cgroups that it told.
    pub fn thaw_files(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let swept = self.window.iter().flat_map(Window::swept);
        self.fixed.iter().chain(swept).filter_map(|held| held.freeze.as_ref()).map(File::as_fd)
    }

    /// Lists the workload cgroups, for their memory files.
    #[must_use]
    pub fn workload(&self) -> Vec<PathBuf> {
        self.root.iter().flat_map(|root| FIXED.map(|name| root.join(name))).collect()
    }

    /// Plans around our own place, which can change; `None` where it is not below the root.
    fn plan(&self) -> Option<Plan> {
        let root = self.root.as_deref()?;
        let own = self.own.clone().or_else(|| sweep::own(root))?;
        Some(Plan::new(root, &own))
    }

    /// Makes sure that there is a window, of `mode` or wider.
    async fn open(&mut self, mode: Mode, plan: Option<&Plan>) {
        let Some(root) = self.root.clone() else { return };
        if self.window.is_none() {
            self.window = match self.leftover() {
                Some(window) => Some(window),
                None => Some(Window::begin(&root, mode, plan).await),
            };
        }
        if let Some(window) = &mut self.window
            && mode != Mode::Legacy
        {
            window.mode = mode;
        }
    }

    /// Finds the freeze of an agent that died and left no record: one of ours is frozen, and not by us.
    fn leftover(&self) -> Option<Window> {
        let root = self.root.as_deref().filter(|_| self.fixed.iter().any(Held::requested))?;
        Some(Window::inherit(root, Record::default()))
    }

    fn freeze_fixed(&mut self, plan: Option<&Plan>, counts: &mut Counts, told: &mut Vec<PathBuf>) {
        for held in &mut self.fixed {
            if self.root.is_none() {
                counts.unobservable += 1;
                continue;
            }
            counts.visited += 1;
            let result = match plan.map(|plan| plan.place(&held.path)) {
                // An agent that was started by an agent lives in there, and would stop itself.
                Some(Place::Through) => Err(ErrorKind::ResourceBusy.into()),
                _ => held.tell(true),
            };
            match result {
                Ok(()) => {
                    counts.requested += 1;
                    told.push(held.path.clone());
                }
                Err(error) if cgroup::vanished(&error) => counts.unobservable += 1,
                Err(error) => {
                    tracing::warn!(cgroup = %held.path.display(), %error, "a cgroup cannot be frozen");
                    counts.failed += 1;
                }
            }
        }
    }
}

/// Brings a bound into its limits.
fn bound(max_cgroups: usize) -> usize {
    if max_cgroups == 0 { DEFAULT_MAX_CGROUPS } else { max_cgroups.min(MAX_CGROUPS) }
}
