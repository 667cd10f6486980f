//! A guest that is paused.

use futures_util::future::join_all;

use super::{Guest, runtime, told};
use crate::folder::Folder;
use crate::host::Qemu;
use crate::snapshot::{Companion, Guided, PauseReport, Paused, Resume, ResumeReport, Resumed, Snapshot, SnapshotError};
use crate::template::Templates;
use crate::vm::{Network, Vm, VmError};

/// A paused VM in the hands of a test; its files go when it is dropped.
#[derive(Debug)]
pub struct Asleep {
    snapshot: Snapshot,
    /// Has the snapshot in it.
    _folder: Folder,
    /// How the pause went.
    pub report: PauseReport,
    qemu: Qemu,
    templates: Templates,
    network: Network,
}

impl Asleep {
    pub(super) fn new(paused: Paused, folder: Folder, qemu: Qemu, templates: Templates) -> Self {
        let Paused { snapshot, report } = paused;
        Self { snapshot, _folder: folder, report, qemu, templates, network: Network::default() }
    }

    /// Resumes with this network from now on.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Resumes a guest from here; a second one is a copy of its own.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    #[track_caller]
    pub fn resume(&self) -> Guest {
        self.resume_with(&Guided::default()).0
    }

    /// Resumes a guest with this companion; tells how it went.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    #[track_caller]
    pub fn resume_with(&self, companion: &impl Companion) -> (Guest, ResumeReport) {
        let resumed = told(runtime().block_on(self.wake(companion)), "resuming a guest");
        (self.guest(resumed.vm), resumed.report)
    }

    /// Resumes so many copies at once.
    ///
    /// # Panics
    /// When one of them fails.
    #[must_use]
    #[track_caller]
    pub fn copies(&self, number: usize, companion: &impl Companion) -> Vec<Guest> {
        let copies = runtime().block_on(join_all((0..number).map(|_| self.wake(companion))));
        copies.into_iter().map(|copy| self.guest(told(copy, "resuming a copy").vm)).collect()
    }

    /// The snapshot, for all else.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    async fn wake(&self, companion: &impl Companion) -> Result<Resumed, SnapshotError> {
        let options = Resume { network: self.network.clone(), ..Resume::default() };
        let folder = self.templates.new_vm_folder().map_err(VmError::from)?;
        self.snapshot.resume(&self.qemu, &options, &folder, companion).await
    }

    fn guest(&self, vm: Vm) -> Guest {
        Guest::new(vm, self.qemu.clone(), self.templates.clone())
    }
}
