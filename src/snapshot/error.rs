//! Why a freeze or a thaw was not carried out.

use crate::base::{Failure, Kind};

/// Says why programs do not stand still, or still do.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Somebody asked for it, or the caller went away.
    #[error("the freeze was cancelled")]
    Cancelled,
    /// A hook or a listener does not want it.
    #[error("the freeze was refused by {0}")]
    Refused(String),
    /// The deadline came first.
    #[error("the freeze did not end within {0:?}")]
    Late(std::time::Duration),
    /// Programs in uninterruptible waits.
    #[error("{0} cgroups do not stand still")]
    Stragglers(usize),
    /// A filesystem that must be frozen.
    #[error("freeze the filesystem at {0}")]
    Filesystem(String, #[source] super::disk::Refusal),
    /// A freeze is in force that left out what is asked for now.
    #[error("the guest is frozen without its filesystems; thaw it first")]
    NotDisk,
    /// The caller means another freeze.
    #[error("generation {asked} is not the one in force, which is {current}")]
    Stale {
        /// What was asked for.
        asked: u64,
        /// What is in force.
        current: u64,
    },
    /// Copies of this guest would draw equal random numbers.
    #[error("no fresh random bytes: send some, or give the machine a virtio-rng device")]
    NoEntropy,
    /// Something could not be let go; the watchdog tries again.
    #[error("{0} cgroups could not be let go")]
    Stuck(usize),
    /// The kernel's error.
    #[error("{verb}")]
    Machine {
        /// What we tried.
        verb: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The agent is going down.
    #[error("the agent is shutting down")]
    ShuttingDown,
}

impl Failure for SnapshotError {
    fn kind(&self) -> Kind {
        match self {
            Self::Cancelled | Self::Refused(_) => Kind::Aborted,
            Self::Late(_) => Kind::DeadlineExceeded,
            Self::Stragglers(_) | Self::Filesystem(..) | Self::NotDisk | Self::Stale { .. } | Self::NoEntropy => {
                Kind::FailedPrecondition
            }
            Self::Stuck(_) => Kind::Internal,
            Self::Machine { source, .. } => crate::base::kind::kind_of_io(source),
            Self::ShuttingDown => Kind::Unavailable,
        }
    }
}
