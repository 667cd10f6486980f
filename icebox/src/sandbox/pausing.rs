//! A keeper at work: from a VM to files, and what becomes of a VM that is lost.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::care::Care;
use super::error::{SandboxError, chain};
use super::face::now_ms;
use super::keeper::{Body, Keeper, Shared};
use super::record::{Kept, Record};
use super::start::pause_phases;
use super::{OnTimeout, PauseMode, State};
use crate::folder::random_name;
use crate::qmp::QmpError;
use crate::snapshot::{Pause, PauseError, Paused, Snapshot, SnapshotError};
use crate::store::Shelf;

/// How long QEMU may take to say how it is, after a pause that failed.
const STATUS_LIMIT: Duration = Duration::from_secs(5);

/// Said of a sandbox whose guest was saved as it was.
const UNFROZEN: &str = "its agent did not answer when it was paused: it was saved as it was";

impl Keeper {
    /// Pauses. The store is told first which folder will count; the pause is done at the moment when that folder gets
    /// its name, and nothing that happens later can take it back. So there is no point at which a crash, or a full disk,
    /// leaves half of it.
    pub(super) async fn pause(
        &mut self,
        mode: PauseMode,
        healthy: bool,
        left_ms: Option<u64>,
    ) -> Result<(), SandboxError> {
        let id = self.record.id.clone();
        if !matches!(self.body, Body::Running(_)) {
            return Err(SandboxError::AlreadyPaused(id));
        }
        if !self.ground.has_room() {
            return Err(SandboxError::NoSpace(id));
        }
        let number = random_name().map_err(SandboxError::host("naming a pause"))?;
        let kept = Kept { folder: format!("{id}-{number}"), mode, at_ms: now_ms(), bytes: 0 };
        let before = self.record.clone();
        self.record.pausing = Some(kept.clone());
        self.record.left_ms = left_ms;
        if let Err(error) = self.write_down().await {
            self.record = before;
            return Err(error);
        }
        self.show(State::Pausing);
        let care = Care::of(&self.record).for_pause(healthy, mode);
        let folder = self.ground.paused(&kept.folder);
        let Body::Running(running) = &mut self.body else { return Err(SandboxError::AlreadyPaused(id)) };
        let options = Pause { durable: true };
        let paused = match mode {
            PauseMode::Full => running.vm.pause(&folder, options, &care).await,
            PauseMode::Filesystem => running.vm.pause_disk(&folder, options, &care).await,
        };
        match paused {
            Ok(paused) => {
                self.paused(kept, paused).await;
                Ok(())
            }
            Err(error) => Err(self.not_paused(error, before, healthy).await),
        }
    }

    async fn paused(&mut self, kept: Kept, paused: Paused) {
        drop(self.without_vm().await);
        self.body = Body::Paused(Box::new(paused.snapshot), kept.mode);
        let old = self.record.kept.replace(Kept { bytes: paused.report.bytes.total(), ..kept.clone() });
        self.record.pausing = None;
        self.record.runs = false;
        self.record.end_ms = now_ms();
        self.record.last_pause = pause_phases(&paused.report);
        self.record.trouble = paused.report.frozen.is_none().then(|| UNFROZEN.into());
        self.show(State::Paused(kept.mode));
        // Not needed: the folder is there, and counts.
        self.note().await;
        if let Some(old) = old {
            remove(&self.ground.paused(&old.folder)).await;
        }
    }

    /// Finds out what a pause that failed has left, and says what to answer.
    async fn not_paused(&mut self, error: PauseError, before: Record, healthy: bool) -> SandboxError {
        let id = self.record.id.clone();
        self.record = before;
        let answer = match &error.source {
            SnapshotError::Freeze(_) if healthy => SandboxError::Unhealthy(id),
            _ => SandboxError::saving(&id, &error),
        };
        tracing::warn!(id = %self.record.id, error = chain(&error), "a sandbox was not paused");
        if error.goes_on {
            self.record.trouble = Some(answer.to_string());
            self.show(State::Running);
        } else {
            self.settle(&chain(&error)).await;
        }
        // The folder that was announced is not there and counts for nothing.
        if matches!(self.body, Body::Running(_)) {
            self.note().await;
        }
        answer
    }

    /// Looks at a VM that may be lost, or may stand still.
    async fn settle(&mut self, why: &str) {
        let Body::Running(running) = &self.body else { return };
        match timeout(STATUS_LIMIT, running.vm.status()).await {
            Ok(Err(QmpError::Gone { .. })) => return self.fall_back(why).await,
            Ok(Ok(status)) if status != "running" => {
                if let Err(error) = running.vm.cont().await {
                    tracing::warn!(id = %self.record.id, %error, "a VM cannot be let go on");
                }
            }
            // It runs, or does not say; somebody may wake it, and it can be killed.
            _ => {}
        }
        self.record.trouble = Some(why.to_owned());
        self.show(State::Running);
    }

    /// The VM is lost: the sandbox is what it was at its last pause, or nothing.
    pub(super) async fn fall_back(&mut self, why: &str) {
        drop(self.without_vm().await);
        let id = self.record.id.clone();
        let Some(kept) = self.record.kept.clone() else {
            tracing::warn!(%id, why, "a sandbox is lost");
            return;
        };
        match Snapshot::open(&self.ground.paused(&kept.folder)) {
            Ok(snapshot) => {
                tracing::warn!(%id, why, "a sandbox falls back to its last pause");
                self.record.fall_back(&kept, why);
                self.body = Body::Paused(Box::new(snapshot), kept.mode);
                self.show(State::Paused(kept.mode));
                self.note().await;
            }
            Err(error) => tracing::error!(%id, error = chain(&error), "a sandbox is lost, and its last pause too"),
        }
    }

    /// Pauses since the host goes down, with the time that is left; the next icebox wakes it.
    pub(super) async fn suspend(&mut self) -> Result<(), SandboxError> {
        if !matches!(self.body, Body::Running(_)) {
            return Ok(());
        }
        let left = self.record.end_ms.saturating_sub(now_ms());
        self.pause(PauseMode::Full, false, Some(left)).await
    }

    /// Gives the files of this sandbox another name; pauses it for that when it runs, and wakes it again.
    pub(super) async fn share(&mut self, to: &Path) -> Result<Shared, SandboxError> {
        let ran = matches!(self.body, Body::Running(_));
        let (end_ms, timeout_s) = (self.record.end_ms, self.record.timeout_s);
        let mut place = None;
        if let Body::Running(running) = &mut self.body {
            place = running.place.take();
            let left = end_ms.saturating_sub(now_ms());
            if let Err(error) = self.pause(PauseMode::Full, false, Some(left)).await {
                if let Body::Running(running) = &mut self.body {
                    running.place = place;
                }
                return Err(error);
            }
        }
        let shared = match &self.body {
            Body::Paused(snapshot, mode) => {
                let shared = snapshot.share(to).await.map_err(|error| SandboxError::saving(&self.record.id, &error));
                shared.map(|_| Shared { record: self.record.clone(), mode: *mode })
            }
            Body::Running(_) | Body::Gone => Err(SandboxError::NotFound(self.record.id.clone())),
        };
        if ran {
            // As before, whatever time it took.
            (self.record.end_ms, self.record.timeout_s) = (end_ms, timeout_s);
            if let Err(error) = self.wake(PauseMode::Full, place).await {
                tracing::warn!(id = %self.record.id, %error, "a sandbox stays paused after its snapshot");
            }
        }
        shared
    }

    /// Removes everything of this sandbox.
    pub(super) async fn remove(&mut self) {
        drop(self.without_vm().await);
        let folders: Vec<_> = [&self.record.kept, &self.record.pausing].into_iter().flatten().collect();
        if !self.written {
            return;
        }
        let forgotten = self.ground.store.remove(Shelf::Sandboxes, self.record.id.as_str()).await;
        for kept in folders {
            remove(&self.ground.paused(&kept.folder)).await;
        }
        if forgotten.is_err() {
            // The disk was full, and there is room now. If not: a record without its folder is forgotten at the next
            // start.
            let again = self.ground.store.remove(Shelf::Sandboxes, self.record.id.as_str()).await;
            if let Err(error) = again {
                tracing::warn!(id = %self.record.id, %error, "the record of a sandbox could not be removed");
            }
        }
    }
}

impl Record {
    /// Becomes what it was at its last pause.
    pub(super) fn fall_back(&mut self, kept: &Kept, why: &str) {
        self.pausing = None;
        self.runs = false;
        self.left_ms = None;
        self.end_ms = kept.at_ms;
        self.trouble = Some(format!("{why}; it is as it was at its last pause"));
    }

    /// What its deadline does to a sandbox that is paused already.
    pub(super) fn is_over(&self) -> bool {
        self.left_ms == Some(0) && self.lifecycle.on_timeout == OnTimeout::Kill
    }
}

/// Removes the folder of a pause; it may be gone already.
pub(super) async fn remove(folder: &Path) {
    let folder = folder.to_owned();
    let removing = tokio::task::spawn_blocking(move || {
        if let Err(error) = std::fs::remove_dir_all(&folder)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %folder.display(), %error, "files of a sandbox could not be removed");
        }
    });
    drop(removing.await);
}
