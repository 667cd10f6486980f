//! What all sandboxes stand on.

use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::statvfs;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::error::SandboxError;
use super::{ListedSnapshot, PauseMode, Settings};
use crate::host::Qemu;
use crate::image::Image;
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::template::{Templates, Wish};
use crate::vm::Network;

/// VMs that start at once, for each CPU: more of them only hinder each other, and then none is in time.
const STARTS_PER_CPU: usize = 2;

/// Bytes that must be free on the disk for a pause to be begun: the guest's own writes until it stands still.
const ROOM: u64 = 32 << 20;

/// The name of the template that is made of the image.
pub(super) const BASE: &str = "base";

/// Things that are the same for all sandboxes.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) settings: Settings,
    pub(super) qemu: Qemu,
    pub(super) templates: Templates,
    pub(super) image: Image,
    pub(super) store: Store,
    /// The template `base`.
    pub(super) base: Snapshot,
    /// One for each VM that may run.
    running: Arc<Semaphore>,
    /// One for each VM that may start at this moment.
    pub(super) starts: Semaphore,
    /// Counts what has changed.
    pub(super) changes: watch::Sender<u64>,
}

/// A snapshot that sandboxes can be made from, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Taken {
    pub(super) listed: ListedSnapshot,
    /// What its agent answers to.
    pub(super) token: Option<String>,
    pub(super) mode: PauseMode,
    pub(super) envd_version: String,
}

impl Ground {
    /// Finds or makes what is needed; boots the template where it is not there, which takes some seconds.
    pub(super) async fn lay(settings: Settings, store: Store) -> Result<Self, SandboxError> {
        let templates = Templates::at(&settings.data);
        let swept = templates.sweep();
        if swept > 0 {
            tracing::info!(swept, "what VMs of an earlier icebox left was removed");
        }
        let qemu = Qemu::find().await.map_err(SandboxError::host("finding QEMU"))?;
        let image = match &settings.image {
            Some(folder) => Image::open(folder).map_err(SandboxError::host("opening the image"))?,
            None => templates.image(&settings.flavour).await.map_err(SandboxError::host("opening the image"))?,
        };
        let wish = Wish { memory_mib: Some(settings.memory_mib), cpus: settings.cpus, ..Wish::default() };
        let base = templates.get(&qemu, &image, &wish).await.map_err(SandboxError::host("making the template"))?;
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let running = Arc::new(Semaphore::new(settings.max_running));
        let starts = Semaphore::new(cpus * STARTS_PER_CPU);
        let changes = watch::Sender::new(0);
        Ok(Self { settings, qemu, templates, image, store, base, running, starts, changes })
    }

    /// Takes one of the places of running VMs.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, SandboxError> {
        let place = Arc::clone(&self.running).try_acquire_owned();
        place.map_err(|_| SandboxError::Full(self.settings.max_running))
    }

    /// Where the pause `name` is kept.
    pub(super) fn paused(&self, name: &str) -> PathBuf {
        self.settings.data.join(PAUSED).join(name)
    }

    /// Where the snapshot `id` is kept.
    pub(super) fn snapshot(&self, id: &str) -> PathBuf {
        self.settings.data.join(SNAPSHOTS).join(id)
    }

    /// Whether a pause can be begun; whether its files will fit is seen then. A guest writes back what it has in memory
    /// before it is stopped, and stands still if there is no room for that.
    pub(super) fn has_room(&self) -> bool {
        let room = statvfs(&self.settings.data);
        room.is_ok_and(|room| room.f_bavail.saturating_mul(room.f_frsize) >= ROOM)
    }

    /// Names a folder for a VM.
    pub(super) fn vm_folder(&self) -> Result<PathBuf, SandboxError> {
        self.templates.new_vm_folder().map_err(SandboxError::host("naming a VM"))
    }

    /// The network of a sandbox; open unless it was forbidden.
    pub(super) fn network(allow_internet: Option<bool>) -> Network {
        Network { restrict: allow_internet == Some(false), ..Network::default() }
    }

    /// Tells everybody who waits that something has changed.
    pub(super) fn changed(&self) {
        self.changes.send_modify(|number| *number += 1);
    }
}

/// Folder of pauses, in the data folder.
pub(super) const PAUSED: &str = "paused";
/// Folder of snapshots, in the data folder.
pub(super) const SNAPSHOTS: &str = "snapshots";
