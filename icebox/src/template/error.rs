//! Why there is no template.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::agent::AgentError;
use crate::image::ImageError;
use crate::snapshot::PauseError;
use crate::vm::VmError;

/// Tells what went wrong with a template.
#[derive(Debug, Error)]
pub enum TemplateError {
    /// No random name.
    #[error("finding a name for a VM")]
    Name(#[source] io::Error),
    /// The thread that built an image panicked.
    #[error("building an image")]
    Build(#[source] tokio::task::JoinError),
    /// The lock beside the template.
    #[error("locking {path}")]
    Lock {
        /// The lock.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Somebody else makes it, for too long.
    #[error("waiting for somebody else who makes this template: {path} is still locked after {limit:?}")]
    Busy {
        /// The lock.
        path: PathBuf,
        /// How long was waited.
        limit: Duration,
    },
    /// The guest's clock runs at the wrong rate.
    #[error("the guest's clock runs at {rate:.2} times the rate of ours; boot it again")]
    Clock {
        /// Guest seconds in one of ours.
        rate: f64,
    },
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Booting.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// Asking the agent.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// Pausing.
    #[error(transparent)]
    Pause(#[from] PauseError),
}
