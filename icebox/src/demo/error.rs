//! What was not as promised.

use std::io;

use icebox::agent::AgentError;
use icebox::host::HostError;
use icebox::image::ImageError;
use icebox::snapshot::{PauseError, SnapshotError};
use icebox::vm::VmError;
use thiserror::Error;

/// Tells why the demo ends badly.
#[derive(Debug, Error)]
pub(crate) enum DemoError {
    #[error("the pause is done, but QEMU, process {pid}, is still there")]
    StillThere { pid: u32 },
    #[error("the program that counts wrote {text:?}, which is no number")]
    NoNumber { text: String },
    #[error("the program that counts wrote nothing")]
    Silent,
    #[error("the program that counts ended")]
    Ended,
    #[error("the program jumped from {last} to {next}")]
    Gap { last: u64, next: u64 },
    #[error("the program counted from {last} to {next} while its VM was paused")]
    Ran { last: u64, next: u64 },
    #[error("the guest's clock differs from ours by {offset_ms} ms, measured to {error_ms} ms")]
    Clock { offset_ms: i64, error_ms: i64 },
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Vm(#[from] VmError),
    #[error(transparent)]
    Pause(#[from] PauseError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Agent(#[from] AgentError),
}
