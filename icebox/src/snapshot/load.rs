//! From files to a running VM.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::companion::Companion;
use super::error::SnapshotError;
use super::manifest::{DEVICES_FILE, MEMORY_FILE, Snapshot};
use super::report::{Phases, ResumeReport};
use super::save::{outcome, tell_all};
use crate::host::Qemu;
use crate::image::Image;
use crate::vm::{Boot, Network, Parts, Start, Vm, new_folder};

/// How long a resume may take: 0.3 s, and 5 s at the worst on a busy machine.
const RESUME_LIMIT: Duration = Duration::from_secs(20);
/// The name of the pipe in QEMU.
const FD_NAME: &str = "snapshot";

/// How to resume.
#[derive(Clone, Debug)]
pub struct Resume {
    /// May differ from the one before.
    pub network: Network,
    /// How long each step may take: loading, and the first answer of the agent.
    pub within: Duration,
}

impl Default for Resume {
    fn default() -> Self {
        Self { network: Network::default(), within: RESUME_LIMIT }
    }
}

/// A resume that is done.
#[derive(Debug)]
pub struct Resumed {
    /// The running VM.
    pub vm: Vm,
    /// How long it took.
    pub report: ResumeReport,
}

impl Snapshot {
    /// Starts a VM from here in `folder`, which must not be there yet; the guest goes on where it stopped, `companion`
    /// thaws it, and the agent answers. The snapshot stays as it is.
    ///
    /// # Errors
    /// [`SnapshotError`]. No QEMU and no file of the VM is left. Giving up leaves nothing either.
    pub async fn resume(
        &self,
        qemu: &Qemu,
        options: &Resume,
        folder: &Path,
        companion: &impl Companion,
    ) -> Result<Resumed, SnapshotError> {
        let mut phases = Phases::new();
        let mut report = ResumeReport::default();
        let vm = self.spawn(qemu, &options.network, folder).await?;
        report.spawn = phases.next();
        let loaded = self.load(&vm, options.within).await;
        match loaded {
            Err(SnapshotError::Vm(error)) => vm.explained(Err(error), "the guest was loaded").await?,
            loaded => loaded?,
        }
        report.load = phases.next();
        vm.cont().await?;
        report.cont = phases.next();
        vm.ready(options.within).await?;
        let frozen = self.manifest.frozen.clone();
        report.thawed = companion.thaw(vm.agent(), frozen).await.map_err(SnapshotError::Thaw)?;
        report.thaw = phases.next();
        report.total = phases.total();
        Ok(Resumed { vm, report })
    }

    /// Boots a VM from the disk of this snapshot in `folder`, as after a loss of power, or a shutdown when filesystems
    /// were frozen for the pause; the memory is left out. The agent answers then. The snapshot stays as it is.
    ///
    /// # Errors
    /// As [`Snapshot::resume`].
    pub async fn boot(&self, qemu: &Qemu, image: &Image, boot: &Boot, folder: &Path) -> Result<Vm, SnapshotError> {
        let folder = new_folder(folder)?;
        self.manifest.disk.share(&self.folder, folder.path())?;
        let (disk, flavour) = (self.manifest.disk.clone(), self.manifest.flavour.clone());
        let parts = Parts { qemu: qemu.clone(), hardware: boot.hardware.clone(), disk, flavour };
        let start = Start::Boot { image, append: &boot.append };
        let vm = Vm::start(parts, start, &boot.network, folder).await?;
        vm.ready(boot.within).await?;
        Ok(vm)
    }

    async fn spawn(&self, qemu: &Qemu, network: &Network, folder: &Path) -> Result<Vm, SnapshotError> {
        let folder = new_folder(folder)?;
        let manifest = &self.manifest;
        manifest.disk.share(&self.folder, folder.path())?;
        let (hardware, disk) = (manifest.hardware.clone(), manifest.disk.clone());
        let parts = Parts { qemu: qemu.clone(), hardware, disk, flavour: manifest.flavour.clone() };
        let memory = self.folder.join(MEMORY_FILE);
        Ok(Vm::start(parts, Start::Resume { memory: &memory }, network, folder).await?)
    }

    /// Loads the devices.
    async fn load(&self, vm: &Vm, limit: Duration) -> Result<(), SnapshotError> {
        let what = "load the guest";
        let path = self.folder.join(DEVICES_FILE);
        let (theirs, ours) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(io::Error::from)
            .map_err(SnapshotError::file("making a pipe for", &path))?;
        vm.qmp.give(FD_NAME, theirs).await?;
        let mut events = tell_all(&vm.qmp).await?;
        // Ends with QEMU, which is the only reader, at the latest.
        let feeding = spawn_blocking({
            let path: PathBuf = path.clone();
            move || io::copy(&mut File::open(path)?, &mut File::from(ours))
        });
        vm.qmp.execute("migrate-incoming", json!({"uri": format!("fd:{FD_NAME}")})).await?;
        let loaded = timeout(limit, outcome(&vm.qmp, &mut events, what)).await;
        loaded.unwrap_or(Err(SnapshotError::Late { what, limit }))?;
        let fed = feeding.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        fed.map(drop).map_err(SnapshotError::file("reading", path))
    }
}
