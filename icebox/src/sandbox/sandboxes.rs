//! The whole of them.

use std::time::Duration;

use super::{
    Create, Fork, ListedSnapshot, Metric, OnTimeout, PauseMode, Reach, SandboxError, SandboxId, Settings, View,
};

/// All sandboxes of this host. Cheap to clone; every method may be called at any time, by many at once.
///
/// A call that is given up does not stop what it began: another one sees the result.
#[derive(Clone, Debug)]
pub struct Sandboxes {}

impl Sandboxes {
    /// Opens the data folder: finds QEMU, makes the template if need be, and takes up what an earlier icebox left.
    /// Paused sandboxes are there again. Those that ran are gone with their VMs, and fall back to their last pause
    /// where they had one.
    ///
    /// # Errors
    /// [`SandboxError::Host`].
    pub async fn open(_settings: Settings) -> Result<Self, SandboxError> {
        Err(SandboxError::Stopping)
    }

    /// Makes a sandbox; its agent answers when this returns.
    ///
    /// # Errors
    /// [`SandboxError::NoTemplate`], [`SandboxError::Full`], [`SandboxError::Invalid`], [`SandboxError::Host`].
    pub async fn create(&self, _wish: Create) -> Result<View, SandboxError> {
        Err(SandboxError::Stopping)
    }

    /// Gives what is known of a sandbox; `None` for an unknown one. Never waits.
    #[must_use]
    pub fn view(&self, _id: &SandboxId) -> Option<View> {
        None
    }

    /// Gives all, in no order. Never waits.
    #[must_use]
    pub fn views(&self) -> Vec<View> {
        Vec::new()
    }

    /// Makes sure that a sandbox runs, with so much time at least; says whether it was resumed for that. A deadline
    /// only ever moves later; that of a sandbox that was resumed is now + `timeout`. Waits for a pause in progress.
    /// `memory: false` boots a paused sandbox from its disk.
    ///
    /// # Errors
    /// [`SandboxError::NotFound`], [`SandboxError::Full`], [`SandboxError::Host`] (it is paused as before).
    pub async fn connect(
        &self,
        _id: &SandboxId,
        _timeout: Duration,
        _memory: bool,
    ) -> Result<(View, bool), SandboxError> {
        Err(SandboxError::Stopping)
    }

    /// Pauses; when this returns, the sandbox is files on the disk, no QEMU runs, and it survives everything.
    /// `healthy` refuses a guest that does not answer; else one that hangs is saved as it is.
    ///
    /// # Errors
    /// [`SandboxError::NotFound`], [`SandboxError::AlreadyPaused`], [`SandboxError::Unhealthy`],
    /// [`SandboxError::NoSpace`], [`SandboxError::Host`] (it runs on in these).
    pub async fn pause(&self, _id: &SandboxId, _mode: PauseMode, _healthy: bool) -> Result<(), SandboxError> {
        Err(SandboxError::Stopping)
    }

    /// Resumes a paused sandbox; may change what happens at its deadline.
    ///
    /// # Errors
    /// As [`Sandboxes::connect`], and [`SandboxError::AlreadyRunning`].
    pub async fn resume(
        &self,
        _id: &SandboxId,
        _timeout: Duration,
        _on_timeout: Option<OnTimeout>,
    ) -> Result<View, SandboxError> {
        Err(SandboxError::Stopping)
    }

    /// Removes a sandbox, running or paused, with all its files. Waits for what is in progress, or breaks it off.
    ///
    /// # Errors
    /// [`SandboxError::NotFound`].
    pub async fn kill(&self, _id: &SandboxId) -> Result<(), SandboxError> {
        Err(SandboxError::Stopping)
    }

    /// Sets the deadline to now + `timeout`, earlier or later; with `only_later` it never gets earlier.
    ///
    /// # Errors
    /// [`SandboxError::NotFound`], [`SandboxError::Paused`].
    pub async fn set_timeout(
        &self,
        _id: &SandboxId,
        _timeout: Duration,
        _only_later: bool,
    ) -> Result<(), SandboxError> {
        Err(SandboxError::Stopping)
    }

    /// Leads to a port of a sandbox, for the proxy: waits for a pause or resume in progress, and resumes a paused
    /// sandbox with auto-resume; then its deadline is now + max(5 minutes, its timeout). Counts as activity. Whether
    /// anything listens on the port is not known here.
    ///
    /// # Errors
    /// [`SandboxError::NotFound`], also for a paused sandbox without auto-resume; [`SandboxError::Host`].
    pub async fn reach(&self, _id: &SandboxId, _port: u16) -> Result<Reach, SandboxError> {
        Err(SandboxError::Stopping)
    }

    /// Gives measurements between two times in seconds since the epoch, oldest first.
    ///
    /// # Errors
    /// [`SandboxError::NotFound`].
    pub async fn metrics(&self, _id: &SandboxId, _from_s: u64, _to_s: u64) -> Result<Vec<Metric>, SandboxError> {
        Err(SandboxError::Stopping)
    }

    /// Takes a snapshot of a running or paused sandbox, from which others can be made; it goes on afterwards.
    ///
    /// # Errors
    /// As [`Sandboxes::pause`].
    pub async fn snapshot(&self, _id: &SandboxId, _name: Option<String>) -> Result<ListedSnapshot, SandboxError> {
        Err(SandboxError::Stopping)
    }

    /// Gives all snapshots, newest first.
    #[must_use]
    pub fn snapshots(&self) -> Vec<ListedSnapshot> {
        Vec::new()
    }

    /// Removes a snapshot; sandboxes made from it go on.
    ///
    /// # Errors
    /// [`SandboxError::NoTemplate`].
    pub async fn delete_snapshot(&self, _id: &str) -> Result<(), SandboxError> {
        Err(SandboxError::Stopping)
    }

    /// Makes copies of a running or paused sandbox, each with an id, token and identity of its own.
    ///
    /// # Errors
    /// As [`Sandboxes::snapshot`]; what becomes of each copy is in its place.
    pub async fn fork(&self, _id: &SandboxId, _timeout: Duration, _count: usize) -> Result<Vec<Fork>, SandboxError> {
        Err(SandboxError::Stopping)
    }

    /// Waits until anything about any sandbox has changed since the call before; for the page.
    pub async fn changed(&self) {
        std::future::pending().await
    }

    /// Ends: refuses new calls, pauses what runs and may be paused, kills the rest, and leaves nothing running.
    pub async fn close(&self) {}
}
