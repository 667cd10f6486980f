//! Why a disk cannot be made.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Tells what is wrong with a disk.
#[derive(Debug, Error)]
pub enum DiskError {
    /// The root filesystem below it is not the one that it was made for.
    #[error("{base} was rebuilt or removed since this disk was put over it")]
    Base {
        /// The raw root filesystem.
        base: PathBuf,
    },
    /// A layer cannot be linked, copied, renamed or removed.
    #[error("sharing the layer {path}")]
    File {
        /// The layer.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// `qemu-img` does not start.
    #[error("running {command}")]
    Start {
        /// The whole command.
        command: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// `qemu-img` does not end.
    #[error("running {command}: no end within {limit:?}")]
    Late {
        /// The whole command.
        command: String,
        /// How long was waited.
        limit: Duration,
    },
    /// `qemu-img` failed.
    #[error("running {command}: {said}")]
    Failed {
        /// The whole command.
        command: String,
        /// What it said.
        said: String,
    },
}
