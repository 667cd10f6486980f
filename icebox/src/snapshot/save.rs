//! From a running VM to files.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::companion::Companion;
use super::error::{PauseError, SnapshotError};
use super::manifest::{DEVICES_FILE, MEMORY_FILE, Manifest, Snapshot, bytes};
use super::report::{PauseReport, Phases};
use super::stream::{StreamError, split};
use crate::agent::unix_time;
use crate::folder::Folder;
use crate::qmp::{Events, Qmp};
use crate::vm::{MEMORY, Vm};

/// How long saving may take at least, and how much memory it writes in a second at the worst: a disk that others use.
const SAVE_LIMIT: Duration = Duration::from_secs(30);
const SLOWEST_MIB: u32 = 10;
/// QEMU's own bound is 128 MiB/s, to spare networks; this is none.
const NO_BOUND: u64 = 1 << 40;
/// Bytes of the pipe between QEMU and us, as many as an ordinary user may have (pipe(7), `pipe-max-size`).
const PIPE: usize = 1 << 20;
/// The name of the pipe in QEMU.
const FD_NAME: &str = "snapshot";

/// How to pause.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    /// The snapshot is on the disk, and not only in the host's cache, when the pause is done; it survives a crash of
    /// the host, and takes as much longer as the disk needs to write it.
    pub durable: bool,
}

impl Default for Pause {
    fn default() -> Self {
        Self { durable: true }
    }
}

/// What a pause is to leave.
#[derive(Clone, Copy)]
struct Wish {
    durable: bool,
    disk_only: bool,
}

/// A pause that is done.
#[derive(Debug)]
pub struct Paused {
    /// What is left of the VM.
    pub snapshot: Snapshot,
    /// How long it took.
    pub report: PauseReport,
}

impl Vm {
    /// Pauses to files: has `companion` freeze the guest, stops it, saves it into `folder`, which must not be there yet,
    /// and ends QEMU. Of the VM only its handle is left, which can be dropped.
    ///
    /// # Errors
    /// [`PauseError`]. Unless QEMU itself is gone the guest goes on, and no snapshot is there. Giving up leaves no
    /// snapshot either, but the guest stopped and frozen; or, when the snapshot has its name already, no QEMU. Never
    /// both: they share the uppermost layer of the disk.
    pub async fn pause(
        &mut self,
        folder: &Path,
        options: Pause,
        companion: &impl Companion,
    ) -> Result<Paused, PauseError> {
        self.pause_to(folder, options, companion, false).await
    }

    /// Pauses as [`Vm::pause`] does and keeps the disk alone, to be booted again: `companion` should freeze filesystems
    /// too.
    ///
    /// # Errors
    /// As [`Vm::pause`].
    pub async fn pause_disk(
        &mut self,
        folder: &Path,
        options: Pause,
        companion: &impl Companion,
    ) -> Result<Paused, PauseError> {
        self.pause_to(folder, options, companion, true).await
    }

    async fn pause_to(
        &mut self,
        folder: &Path,
        options: Pause,
        companion: &impl Companion,
        disk_only: bool,
    ) -> Result<Paused, PauseError> {
        let mut phases = Phases::new();
        let mut report = PauseReport::default();
        let wish = Wish { durable: options.durable, disk_only };
        let saved = self.save(folder, wish, companion, &mut phases, &mut report).await;
        let snapshot = match saved {
            Ok(snapshot) => snapshot,
            Err(source) => return Err(self.go_on(companion, report.frozen, source).await),
        };
        // Nothing was waited for since the snapshot got its name.
        let _end = End(self);
        if options.durable {
            sync_name(snapshot.folder()).await;
        }
        report.commit = phases.next();
        self.quit().await;
        report.quit = phases.next();
        report.total = phases.total();
        Ok(Paused { snapshot, report })
    }

    async fn save(
        &self,
        to: &Path,
        wish: Wish,
        companion: &impl Companion,
        phases: &mut Phases,
        report: &mut PauseReport,
    ) -> Result<Snapshot, SnapshotError> {
        // Before the guest is bothered: is there a place at all?
        let folder = staging(to)?;
        report.frozen = companion.freeze(self.agent()).await.map_err(SnapshotError::Freeze)?;
        report.freeze = phases.next();
        self.stop().await?;
        let stopped_unix_ns = u64::try_from(unix_time().as_nanos()).unwrap_or(u64::MAX);
        report.stop = phases.next();
        if !wish.disk_only {
            let written = self.write_memory(folder.path()).await;
            self.explained_snapshot(written).await?;
        }
        report.save = phases.next();
        let parts = &self.parts;
        parts.disk.share(self.folder.path(), folder.path())?;
        let frozen = report.frozen.clone();
        let (flavour, hardware) = (parts.flavour.clone(), parts.hardware.clone());
        let mut manifest = Manifest::new(flavour, hardware, parts.disk.clone(), frozen, stopped_unix_ns);
        manifest.disk_only = wish.disk_only;
        manifest.write(folder.path())?;
        report.bytes = bytes(folder.path(), &manifest).map_err(SnapshotError::file("measuring", to))?;
        let folder = if wish.durable { sync(folder).await? } else { folder };
        // Last, and not in another thread: that would go on when nobody waits for it any more.
        let to = publish(folder, to)?;
        Ok(Snapshot::at(to, manifest))
    }

    /// Writes memory and devices into `folder`.
    async fn write_memory(&self, folder: &Path) -> Result<(), SnapshotError> {
        let (ours, theirs) = pipe().map_err(SnapshotError::file("making a pipe for", folder))?;
        self.qmp.give(FD_NAME, theirs).await?;
        let splitting = start_splitting(ours, folder, self.parts.hardware.memory_bytes())?;
        let limit = SAVE_LIMIT + Duration::from_secs((self.parts.hardware.memory_mib / SLOWEST_MIB).into());
        let mut events = tell_all(&self.qmp).await?;
        self.qmp.execute("migrate-set-parameters", json!({"max-bandwidth": NO_BOUND})).await?;
        self.qmp.execute("migrate", json!({"uri": format!("fd:{FD_NAME}")})).await?;
        let migrated = match timeout(limit, outcome(&self.qmp, &mut events, "save the guest")).await {
            Ok(migrated) => migrated,
            Err(_) => {
                self.qmp.execute("migrate_cancel", Value::Null).await?;
                Err(SnapshotError::Late { what: "save the guest", limit })
            }
        };
        // If this failed, QEMU failed only because nobody read any more.
        let split = match timeout(limit, splitting).await {
            Ok(Ok(split)) => split.map_err(SnapshotError::Stream),
            Ok(Err(error)) => Err(SnapshotError::file("saving to", folder)(io::Error::other(error))),
            Err(_) => Err(SnapshotError::Late { what: "be saved", limit }),
        };
        match (split, migrated) {
            (Err(SnapshotError::Stream(StreamError::Read(_))), Err(migrated)) => Err(migrated),
            (split, migrated) => split.and(migrated),
        }
    }

    /// Lets the guest go on after a pause that failed.
    async fn go_on(&self, companion: &impl Companion, frozen: Option<Value>, source: SnapshotError) -> PauseError {
        let goes_on = match self.status().await.as_deref() {
            Ok("running") => companion.cancel(self.agent()).await.is_ok(),
            // It stood still for a while: its clock is late, as after a resume.
            Ok(_) => self.cont().await.is_ok() && companion.thaw(self.agent(), frozen).await.is_ok(),
            Err(_) => false,
        };
        PauseError { goes_on, source }
    }

    pub(super) async fn explained_snapshot<T>(&self, outcome: Result<T, SnapshotError>) -> Result<T, SnapshotError> {
        match outcome {
            Err(SnapshotError::Vm(error)) => Ok(self.explained(Err(error), "the guest was saved").await?),
            outcome => outcome,
        }
    }
}

/// Kills a VM of which there is a snapshot; mostly it has quit by then.
struct End<'a>(&'a Vm);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// Makes the folder in which a snapshot grows, beside the place where it will be.
pub(super) fn staging(to: &Path) -> Result<Folder, SnapshotError> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(SnapshotError::file("making", to)(io::ErrorKind::AlreadyExists.into()));
    }
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Folder::new(parent, STAGING).map_err(SnapshotError::file("making a folder beside", to))
}

/// Beginning of the names of folders in which snapshots grow.
pub(crate) const STAGING: &str = ".pausing";

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // A smaller one is slower and does as well.
    let _ = rustix::pipe::fcntl_setpipe_size(&ours, PIPE);
    Ok((ours, theirs))
}

fn start_splitting(
    from: OwnedFd,
    folder: &Path,
    size: u64,
) -> Result<JoinHandle<Result<(), StreamError>>, SnapshotError> {
    let make = |name: &str| {
        let path = folder.join(name);
        File::create(&path).map_err(SnapshotError::file("making", path))
    };
    let (memory, devices) = (make(MEMORY_FILE)?, make(DEVICES_FILE)?);
    let from = BufReader::with_capacity(PIPE, File::from(from));
    Ok(spawn_blocking(move || split(from, MEMORY, size, &memory, BufWriter::new(devices))))
}

/// Has QEMU tell how a migration goes; listens from now on.
pub(super) async fn tell_all(qmp: &Qmp) -> Result<Events, SnapshotError> {
    let events = json!({"capabilities": [{"capability": "events", "state": true}]});
    qmp.execute("migrate-set-capabilities", events).await?;
    Ok(qmp.events())
}

/// Waits for the end of a migration.
pub(super) async fn outcome(qmp: &Qmp, events: &mut Events, what: &'static str) -> Result<(), SnapshotError> {
    while let Some(event) = events.next().await {
        let status = event.data.get("status").and_then(Value::as_str).unwrap_or_default();
        match status {
            "completed" if event.name == "MIGRATION" => return Ok(()),
            "failed" | "cancelled" if event.name == "MIGRATION" => {
                let asked = qmp.execute("query-migrate", Value::Null).await?;
                let reason = asked.get("error-desc").and_then(Value::as_str).unwrap_or(status).to_owned();
                return Err(SnapshotError::Migration { what, reason });
            }
            _ => {}
        }
    }
    Err(crate::qmp::QmpError::Gone { command: what.into() }.into())
}

/// Puts what has grown in `folder` on the disk. Giving up removes the folder, at the latest when this would have ended.
pub(super) async fn sync(folder: Folder) -> Result<Folder, SnapshotError> {
    let syncing = spawn_blocking(move || {
        for entry in fs::read_dir(folder.path())? {
            File::open(entry?.path())?.sync_all()?;
        }
        File::open(folder.path())?.sync_all()?;
        Ok(folder)
    });
    let synced = syncing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    synced.map_err(SnapshotError::file("writing", "the snapshot"))
}

/// Gives a grown snapshot its name; returns where it is.
pub(super) fn publish(folder: Folder, to: &Path) -> Result<PathBuf, SnapshotError> {
    // It grew beside, and its own path has no links in it.
    let name = to.file_name().unwrap_or_default();
    let to = folder.path().with_file_name(name);
    match folder.publish(&to) {
        Ok(()) => Ok(to),
        Err((_folder, error)) => Err(SnapshotError::file("naming", to)(error)),
    }
}

/// Puts the name of a snapshot on the disk.
pub(super) async fn sync_name(snapshot: &Path) {
    let Some(parent) = snapshot.parent().map(Path::to_owned) else { return };
    // The snapshot is there already; when its name cannot be written, neither can it be taken back.
    let _ = spawn_blocking(move || File::open(parent).and_then(|parent| parent.sync_all())).await;
}
