//! The whole of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::error::SandboxError;
use super::face::Face;
use super::ground::{Ground, Taken};
use super::keeper::{Command, Reply};
use super::{Create, Fork, ListedSnapshot, Metric, OnTimeout, PauseMode, Reach, SandboxId, Settings, View};

/// How long an answer may take, with all that others have asked for before: a boot on a busy machine takes a minute.
const ANSWER_LIMIT: Duration = Duration::from_secs(300);
/// How long the end of a sandbox may take: a QEMU, and files.
const END_LIMIT: Duration = Duration::from_secs(30);
/// How long all pauses may take on the way down, before what is left is killed.
const CLOSE_LIMIT: Duration = Duration::from_secs(25);
/// How long killing what is left may take then.
const DROP_LIMIT: Duration = Duration::from_secs(5);

/// All sandboxes of this host. Cheap to clone; every method may be called at any time, by many at once.
///
/// A call that is given up does not stop what it began: another one sees the result. When the last clone is dropped
/// without [`Sandboxes::close`], all VMs end as in a crash.
#[derive(Debug)]
pub struct Sandboxes {
    pub(super) inner: Arc<Inner>,
    /// The change that this clone has seen last.
    seen: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) ground: Arc<Ground>,
    all: RwLock<HashMap<SandboxId, Handle>>,
    pub(super) taken: RwLock<BTreeMap<String, Taken>>,
    stopping: AtomicBool,
}

/// The way to a keeper.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    pub(super) face: Arc<Face>,
    pub(super) commands: mpsc::Sender<Command>,
}

impl Clone for Sandboxes {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), seen: self.seen.load(Ordering::Relaxed).into() }
    }
}

impl Inner {
    pub(super) fn new(ground: Arc<Ground>, taken: BTreeMap<String, Taken>) -> Self {
        Self { ground, all: RwLock::default(), taken: RwLock::new(taken), stopping: AtomicBool::new(false) }
    }

    pub(super) fn add(&self, id: SandboxId, handle: Handle) {
        self.all.write().unwrap_or_else(PoisonError::into_inner).insert(id, handle);
        self.ground.changed();
    }

    pub(super) fn take_out(&self, id: &SandboxId) {
        self.all.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.ground.changed();
    }

    pub(super) fn handle(&self, id: &SandboxId) -> Option<Handle> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn handles(&self) -> Vec<Handle> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn is_open(&self) -> Result<(), SandboxError> {
        if self.stopping.load(Ordering::Acquire) { Err(SandboxError::Stopping) } else { Ok(()) }
    }

    /// Asks the keeper of a sandbox, and waits for its answer.
    pub(super) async fn ask<T>(
        &self,
        id: &SandboxId,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, SandboxError> {
        self.is_open()?;
        let handle = self.handle(id).filter(|handle| !handle.face.kill.is_cancelled());
        let handle = handle.ok_or_else(|| SandboxError::NotFound(id.clone()))?;
        ask(&handle, id, command).await
    }
}

async fn ask<T>(handle: &Handle, id: &SandboxId, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, SandboxError> {
    let (reply, answer) = oneshot::channel();
    let asked = async {
        // A keeper that is gone has dropped what it was asked.
        drop(handle.commands.send(command(reply)).await);
        answer.await.unwrap_or_else(|_| Err(SandboxError::NotFound(id.clone())))
    };
    let late = || SandboxError::Host { what: "waiting for the sandbox", why: format!("no answer in {ANSWER_LIMIT:?}") };
    timeout(ANSWER_LIMIT, asked).await.unwrap_or_else(|_| Err(late()))
}

impl Sandboxes {
    /// Opens the data folder: finds QEMU, makes the template if need be, and takes up what an earlier icebox left.
    /// Paused sandboxes are there again. Those that ran are gone with their VMs, and fall back to their last pause
    /// where they had one. Those that the earlier one paused on its way down are resumed in the background.
    ///
    /// # Errors
    /// [`SandboxError::Host`].
    pub async fn open(settings: Settings) -> Result<Self, SandboxError> {
        let inner = super::open::open(settings).await?;
        Ok(Self { inner, seen: AtomicU64::new(0) })
    }

    /// Makes a sandbox; its agent answers when this returns.
    ///
    /// # Errors
    /// [`SandboxError::NoTemplate`], [`SandboxError::Full`], [`SandboxError::Invalid`], [`SandboxError::Host`].
    pub async fn create(&self, wish: Create) -> Result<View, SandboxError> {
        self.inner.is_open()?;
        let origin = self.inner.origin(&wish.template)?;
        super::create::create(&self.inner, wish, origin).await
    }

    /// Gives what is known of a sandbox; `None` for an unknown one. Never waits.
    #[must_use]
    pub fn view(&self, id: &SandboxId) -> Option<View> {
        self.inner.handle(id)?.face.view()
    }

    /// Gives all, in no order. Never waits.
    #[must_use]
    pub fn views(&self) -> Vec<View> {
        self.inner.handles().iter().filter_map(|handle| handle.face.view()).collect()
    }

    /// Makes sure that a sandbox runs, with so much time at least; says whether it was resumed for that. A deadline
    /// only ever moves later; that of a sandbox that was resumed is now + `timeout`. Waits for a pause in progress.
    /// `memory: false` boots a paused sandbox from its disk.
    ///
    /// # Errors
    /// [`SandboxError::NotFound`], [`SandboxError::Full`], [`SandboxError::Host`] (it is paused as before).
    pub async fn connect(&self, id: &SandboxId, timeout: Duration, memory: bool) -> Result<(View, bool), SandboxError> {
        self.inner.ask(id, |reply| Command::Connect { timeout, memory, reply }).await
    }

    /// Pauses; when this returns, the sandbox is files on the disk, no QEMU runs, and it survives everything.
    /// `healthy` refuses a guest that does not answer; else one that hangs is saved as it is.
    ///
    /// # Errors
    /// [`SandboxError::NotFound`], [`SandboxError::AlreadyPaused`], [`SandboxError::Unhealthy`],
    /// [`SandboxError::NoSpace`], [`SandboxError::Host`] (it runs on in these).
    pub async fn pause(&self, id: &SandboxId, mode: PauseMode, healthy: bool) -> Result<(), SandboxError> {
        self.inner.ask(id, |reply| Command::Pause { mode, healthy, reply }).await
    }

    /// Resumes a paused sandbox; may change what happens at its deadline.
    ///
    /// # Errors
    /// As [`Sandboxes::connect`], and [`SandboxError::AlreadyRunning`].
    pub async fn resume(
        &self,
        id: &SandboxId,
        timeout: Duration,
        on_timeout: Option<OnTimeout>,
    ) -> Result<View, SandboxError> {
        self.inner.ask(id, |reply| Command::Resume { timeout, on_timeout, reply }).await
    }

    /// Removes a sandbox, running or paused, with all its files. Breaks off what is in progress.
    ///
    /// # Errors
    /// [`SandboxError::NotFound`], [`SandboxError::Host`] when it takes too long; it is on its way out then.
    pub async fn kill(&self, id: &SandboxId) -> Result<(), SandboxError> {
        self.inner.is_open()?;
        let handle = self.inner.handle(id).ok_or_else(|| SandboxError::NotFound(id.clone()))?;
        let first = !handle.face.kill.is_cancelled();
        handle.face.kill.cancel();
        let late = || SandboxError::Host { what: "removing the sandbox", why: format!("no end in {END_LIMIT:?}") };
        timeout(END_LIMIT, handle.face.done.cancelled()).await.map_err(|_| late())?;
        if first { Ok(()) } else { Err(SandboxError::NotFound(id.clone())) }
    }

    /// Sets the deadline to now + `timeout`, earlier or later; with `only_later` it never gets earlier.
    ///
    /// # Errors
    /// [`SandboxError::NotFound`], [`SandboxError::Paused`].
    pub async fn set_timeout(&self, id: &SandboxId, timeout: Duration, only_later: bool) -> Result<(), SandboxError> {
        self.inner.ask(id, |reply| Command::SetTimeout { timeout, only_later, reply }).await
    }

    /// Leads to a port of a sandbox, for the proxy: waits for a pause or resume in progress, and resumes a paused
    /// sandbox with auto-resume; then its deadline is now + max(5 minutes, its timeout). Counts as activity. Whether
    /// anything listens on the port is not known here.
    ///
    /// # Errors
    /// [`SandboxError::NotFound`], also for a paused sandbox without auto-resume; [`SandboxError::Full`],
    /// [`SandboxError::Host`].
    pub async fn reach(&self, id: &SandboxId, port: u16) -> Result<Reach, SandboxError> {
        let handle = self.inner.handle(id).ok_or_else(|| SandboxError::NotFound(id.clone()))?;
        if let Some(reach) = handle.face.reach(port) {
            handle.face.touch();
            return Ok(reach);
        }
        self.inner.ask(id, |reply| Command::Reach { port, reply }).await
    }

    /// Gives measurements between two times in seconds since the epoch, oldest first. Measures at once where there was
    /// none yet.
    ///
    /// # Errors
    /// [`SandboxError::NotFound`].
    pub async fn metrics(&self, id: &SandboxId, from_s: u64, to_s: u64) -> Result<Vec<Metric>, SandboxError> {
        let handle = self.inner.handle(id).ok_or_else(|| SandboxError::NotFound(id.clone()))?;
        let ring = || handle.face.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        if ring().is_empty() {
            self.inner.ask(id, |reply| Command::Measure { reply }).await?;
        }
        let metrics = ring().between(from_s, to_s);
        Ok(metrics)
    }

    /// Takes a snapshot of a running or paused sandbox, from which others can be made; it goes on afterwards.
    ///
    /// # Errors
    /// As [`Sandboxes::pause`].
    pub async fn snapshot(&self, id: &SandboxId, name: Option<String>) -> Result<ListedSnapshot, SandboxError> {
        self.inner.snapshot(id, name).await
    }

    /// Gives all snapshots, newest first.
    #[must_use]
    pub fn snapshots(&self) -> Vec<ListedSnapshot> {
        self.inner.snapshots()
    }

    /// Removes a snapshot, by its id or name; sandboxes made from it go on.
    ///
    /// # Errors
    /// [`SandboxError::NoTemplate`].
    pub async fn delete_snapshot(&self, id: &str) -> Result<(), SandboxError> {
        self.inner.delete_snapshot(id).await
    }

    /// Makes copies of a running or paused sandbox, each with an id, token and identity of its own.
    ///
    /// # Errors
    /// As [`Sandboxes::snapshot`]; what becomes of each copy is in its place.
    pub async fn fork(&self, id: &SandboxId, timeout: Duration, count: usize) -> Result<Vec<Fork>, SandboxError> {
        super::copies::fork(&self.inner, id, timeout, count).await
    }

    /// Waits until anything about any sandbox has changed since the call before; for the page. Each clone counts for
    /// itself.
    pub async fn changed(&self) {
        let seen = self.seen.load(Ordering::Relaxed);
        let mut changes = self.inner.ground.changes.subscribe();
        if let Ok(now) = changes.wait_for(|now| *now != seen).await {
            self.seen.store(*now, Ordering::Relaxed);
        }
    }

    /// Ends: refuses new calls, pauses what runs, kills what cannot be paused within 25 s, and leaves nothing running.
    /// The next [`Sandboxes::open`] resumes what was paused here.
    pub async fn close(&self) {
        self.inner.stopping.store(true, Ordering::Release);
        let handles = self.inner.handles();
        let suspend = |handle: Handle| async move {
            let id = handle.face.id();
            match timeout(CLOSE_LIMIT, ask(&handle, &id, |reply| Command::Suspend { reply })).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%id, %error, "a sandbox could not be paused on the way down"),
                Err(_) => tracing::warn!(%id, "a sandbox could not be paused in time on the way down"),
            }
            handle.face.stop.cancel();
            if timeout(DROP_LIMIT, handle.face.done.cancelled()).await.is_err() {
                tracing::error!(%id, "a sandbox did not end");
            }
        };
        join_all(handles.into_iter().map(suspend)).await;
    }
}
