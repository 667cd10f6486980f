//! The handle that everybody else holds: asks the driver, and tells where the guest is without asking.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::disk;
use super::memory::{self, Memory};
use super::options::{Freeze, Thaw};
use super::report::Report;
use super::resume::Clocks;
use super::resume::clock::Stamp;
use super::{Ended, SnapshotError};
use crate::base::admission::Gap;
use crate::base::{Life, Lives};
use crate::workload::{Audit, Counts, Mode};

/// Requests that wait for the driver; hosts send one at a time, and a full queue only makes a caller wait.
pub(super) const QUEUE: usize = 16;
/// Flash and virtual disks write at least this much, so that a plan can say how long write-back takes (the figure by
/// which E2B's orchestrator bounds a sync).
const WRITE_BACK_KIB_PER_MS: u64 = 50;
/// What a freeze takes without anything to write back, in milliseconds (measured with 200 tasks).
const FREEZE_MS: u64 = 25;

/// Asks for freezes and thaws; clones ask the same driver.
#[derive(Clone)]
pub struct Lifecycle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) cancels: mpsc::Sender<oneshot::Sender<bool>>,
    pub(super) shown: Arc<Shown>,
    pub(super) life: watch::Receiver<Life>,
    pub(super) clocks: Arc<Clocks>,
}

/// What the driver does, one at a time. A reply that nobody waits for any more cancels only what says so.
pub(super) enum Command {
    /// Cancelled when the caller goes away.
    Freeze(Freeze, oneshot::Sender<Result<Ended, SnapshotError>>),
    Thaw(Box<Thaw>, oneshot::Sender<Result<Ended, SnapshotError>>),
    /// Its waiting is cancelled when the caller goes away; what was frozen stays frozen, as with envd.
    FreezeWorkload(Mode, Option<Duration>, oneshot::Sender<Counts>),
    ThawWorkload(oneshot::Sender<Result<(), SnapshotError>>),
    FreezeRoot(oneshot::Sender<Result<(), SnapshotError>>),
    ThawRoot(oneshot::Sender<Result<(), SnapshotError>>),
    Welcome(Option<Stamp>, Pin<Box<dyn Future<Output = ()> + Send>>, oneshot::Sender<Option<Audit>>),
}

/// What is told without asking the driver.
#[derive(Default)]
pub(super) struct Shown {
    inner: Mutex<Facts>,
}

/// Tells about this guest and its pauses.
#[derive(Clone, Default)]
pub struct Facts {
    /// What the guest can do, by name.
    pub capabilities: Vec<(&'static str, bool)>,
    /// The last freeze that ended well.
    pub last_freeze: Option<Arc<Report>>,
    /// The last thaw or repair.
    pub last_thaw: Option<Arc<Report>>,
    /// Wall time in pauses, as far as they were noticed.
    pub paused: Duration,
}

impl Shown {
    pub(super) fn lock(&self) -> MutexGuard<'_, Facts> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Predicts a freeze.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Figures of the machine.
    pub memory: Memory,
    /// Mounts whose server may not answer.
    pub network_mounts: usize,
    /// From the request to the answer.
    pub freeze: Duration,
    /// Sentences that speak against it.
    pub vetoes: Vec<String>,
}

impl Lifecycle {
    /// Freezes; see `proto/thawd/v1/lifecycle.proto`. Dropping it cancels.
    ///
    /// # Errors
    /// See [`SnapshotError`]; programs run again after each.
    pub async fn freeze(&self, options: Freeze) -> Result<Ended, SnapshotError> {
        self.ask(|reply| Command::Freeze(options, reply)).await?
    }

    /// Repairs and thaws. Dropping it changes nothing: it goes on.
    ///
    /// # Errors
    /// [`SnapshotError::Stale`], [`SnapshotError::NoEntropy`]; all stays frozen.
    pub async fn thaw(&self, options: Thaw) -> Result<Ended, SnapshotError> {
        self.ask(|reply| Command::Thaw(Box::new(options), reply)).await?
    }

    /// Undoes a freeze, on its way or settled; says whether there was one.
    ///
    /// # Errors
    /// [`SnapshotError::ShuttingDown`].
    pub async fn cancel(&self) -> Result<bool, SnapshotError> {
        let (reply, answer) = oneshot::channel();
        self.cancels.send(reply).await.map_err(|_| SnapshotError::ShuttingDown)?;
        answer.await.map_err(|_| SnapshotError::ShuttingDown)
    }

    /// Stops the workload as a host with envd's protocol does. Dropping it ends the waiting.
    ///
    /// # Errors
    /// [`SnapshotError::ShuttingDown`].
    pub async fn freeze_workload(&self, mode: Mode, wait: Option<Duration>) -> Result<Counts, SnapshotError> {
        self.ask(|reply| Command::FreezeWorkload(mode, wait, reply)).await
    }

    /// Lets the workload go. A guest that was stopped meanwhile gets the true time and goes on with the same life and
    /// the same clients, unless something tells that it is a copy.
    ///
    /// # Errors
    /// [`SnapshotError::Stuck`]; all was tried.
    pub async fn thaw_workload(&self) -> Result<(), SnapshotError> {
        self.ask(Command::ThawWorkload).await?
    }

    /// Freezes the filesystem of `/`; one that is frozen is no error.
    ///
    /// # Errors
    /// [`SnapshotError::Filesystem`].
    pub async fn freeze_root(&self) -> Result<(), SnapshotError> {
        self.ask(Command::FreezeRoot).await?
    }

    /// Thaws the filesystem of `/`, whoever froze it; one that is not frozen is no error.
    ///
    /// # Errors
    /// [`SnapshotError::Machine`].
    pub async fn thaw_root(&self) -> Result<(), SnapshotError> {
        self.ask(Command::ThawRoot).await?
    }

    /// Takes in what a host brings after a start or a resume: repairs if the guest was paused, applies the rest, and
    /// lets the workload go last, so `apply` must end soon whatever happens. Goes on when dropped. Gives the state of a
    /// hierarchy freeze before that.
    ///
    /// # Errors
    /// [`SnapshotError::ShuttingDown`].
    pub async fn welcome(
        &self,
        host: Option<Stamp>,
        apply: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Option<Audit>, SnapshotError> {
        self.ask(|reply| Command::Welcome(host, Box::pin(apply), reply)).await
    }

    /// Tells where the guest is.
    #[must_use]
    pub fn life(&self) -> Life {
        *self.life.borrow()
    }

    /// Follows where the guest is.
    #[must_use]
    pub fn lives(&self) -> Lives {
        Lives::new(self.life.clone())
    }

    /// Tells about this guest and its pauses.
    #[must_use]
    pub fn facts(&self) -> Facts {
        self.shown.lock().clone()
    }

    /// Tells how far the wall clock is behind the true time whenever it is asked; `None` where nobody knows.
    #[must_use]
    pub fn gap(&self) -> Gap {
        let clocks = Arc::clone(&self.clocks);
        Arc::new(move || clocks.gap().map(|behind| Duration::from_nanos(u64::try_from(behind).unwrap_or_default())))
    }

    /// Predicts what a freeze costs, and changes nothing. Reads `/proc`, some milliseconds.
    #[must_use]
    pub fn plan() -> Plan {
        let memory = memory::figures();
        let network_mounts = disk::network_mounts();
        let mut vetoes = Vec::new();
        if memory.uninterruptible > 0 {
            vetoes.push(format!("{} threads wait uninterruptibly and cannot be stopped", memory.uninterruptible));
        }
        if network_mounts > 0 {
            vetoes.push(format!("{network_mounts} mounts need a server, which may be gone after a resume"));
        }
        let freeze = Duration::from_millis(FREEZE_MS + memory.dirty_kib / WRITE_BACK_KIB_PER_MS);
        Plan { memory, network_mounts, freeze, vetoes }
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, SnapshotError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| SnapshotError::ShuttingDown)?;
        answer.await.map_err(|_| SnapshotError::ShuttingDown)
    }
}
