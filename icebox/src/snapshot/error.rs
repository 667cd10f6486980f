//! What can go wrong with snapshots.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::stream::StreamError;
use crate::agent::AgentError;
use crate::disk::DiskError;
use crate::qmp::QmpError;
use crate::vm::VmError;

/// Tells that a VM is not paused, and how it is. No snapshot was left.
#[derive(Debug, Error)]
#[error("pausing the VM, which {}", if *.goes_on { "goes on" } else { "is lost or stands still" })]
pub struct PauseError {
    /// The guest runs as before, and was told so.
    pub goes_on: bool,
    /// What went wrong.
    #[source]
    pub source: SnapshotError,
}

/// Tells what is wrong with a snapshot, or with making or using it.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The guest was asked to get ready and did not.
    #[error("freezing the guest")]
    Freeze(#[source] AgentError),
    /// The guest runs again and could not be told.
    #[error("thawing the guest")]
    Thaw(#[source] AgentError),
    /// The VM.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// QEMU's stream.
    #[error("saving the guest's memory")]
    Stream(#[source] StreamError),
    /// QEMU gave up.
    #[error("QEMU could not {what}: {reason}")]
    Migration {
        /// Save or load.
        what: &'static str,
        /// QEMU's words.
        reason: String,
    },
    /// It takes too long.
    #[error("QEMU did not {what} within {limit:?}")]
    Late {
        /// Save or load.
        what: &'static str,
        /// How long was waited.
        limit: Duration,
    },
    /// A file of it cannot be made, read, renamed or removed.
    #[error("{doing} {path}")]
    File {
        /// Making, reading ...
        doing: &'static str,
        /// Which one.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The manifest is not one.
    #[error("reading {path}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// Of another version of this program.
    #[error("the snapshot {folder} has format {found}, and this program knows {known}")]
    Format {
        /// The snapshot.
        folder: PathBuf,
        /// In its manifest.
        found: u32,
        /// Ours.
        known: u32,
    },
}

impl From<QmpError> for SnapshotError {
    fn from(error: QmpError) -> Self {
        Self::Vm(error.into())
    }
}

impl SnapshotError {
    pub(super) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }

    /// Whether a full disk is the cause.
    #[must_use]
    pub fn is_full_disk(&self) -> bool {
        let full = |error: &io::Error| error.kind() == io::ErrorKind::StorageFull;
        match self {
            Self::Stream(StreamError::Memory(error) | StreamError::Devices(error)) => full(error),
            Self::File { source, .. } | Self::Disk(DiskError::File { source, .. }) => full(source),
            _ => false,
        }
    }
}
