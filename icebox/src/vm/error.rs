//! What can go wrong with a VM.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;

use crate::disk::DiskError;
use crate::host::HostError;
use crate::image::ImageError;
use crate::qmp::QmpError;

/// Tells why a VM does not do what it should. After each of them from a start, no QEMU and no file of it is left.
#[derive(Debug, Error)]
pub enum VmError {
    /// Its folder cannot be made: it is there already, or the disk is full.
    #[error("making the folder {path} of a VM")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// QEMU does not start.
    #[error("starting {program}")]
    Start {
        /// What was started.
        program: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// QEMU ended by itself.
    #[error("QEMU ended with {status} while {doing}; it said:\n{said}\nand the guest, at last:\n{console}")]
    Ended {
        /// What we were waiting for.
        doing: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        said: String,
        /// The end of the guest's console.
        console: String,
    },
    /// The agent does not answer.
    #[error("the agent did not answer within {limit:?}; QEMU is {status}, and the guest said at last:\n{console}")]
    NotReady {
        /// How long was waited.
        limit: Duration,
        /// Of the VM: `running`, `internal-error`.
        status: String,
        /// The end of the guest's console.
        console: String,
    },
    /// A port cannot be forwarded.
    #[error("forwarding port {guest_port} of the guest: {said}")]
    Forward {
        /// In the guest.
        guest_port: u16,
        /// QEMU's words.
        said: String,
    },
    /// The kernel gives no random bytes, for a name or a number.
    #[error("asking the kernel for random bytes")]
    Random(#[from] io::Error),
    /// QEMU's monitor.
    #[error(transparent)]
    Qmp(#[from] QmpError),
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The machine.
    #[error(transparent)]
    Host(#[from] HostError),
}
