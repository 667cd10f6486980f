//! Why a volume is not there.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::{Failure, Kind};

/// Says what kept a volume from being mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// Not `HOST:/PATH`.
    #[error("cannot mount '{0}': expected HOST:/PATH")]
    Target(String),
    /// Not absolute, or with a NUL.
    #[error("cannot mount at '{}': expected an absolute path", .0.display())]
    Path(PathBuf),
    /// The server's name leads nowhere.
    #[error("cannot find the server of '{target}'")]
    Server {
        /// What to mount.
        target: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no folder to mount at.
    #[error("cannot make the folder {}", .path.display())]
    Folder {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// This kernel has no NFS.
    #[error("cannot mount '{0}': this kernel has no NFS")]
    NoNfs(String),
    /// The kernel or the server refused.
    #[error("cannot mount '{target}' at {}", .path.display())]
    Refused {
        /// What to mount.
        target: String,
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("cannot mount at {} in {} s", .path.display(), .limit.as_secs())]
    Late {
        /// Where.
        path: PathBuf,
        /// How long it may take.
        limit: Duration,
    },
    /// The agent ends.
    #[error("the agent is shutting down")]
    ShuttingDown,
}

impl Failure for MountError {
    fn kind(&self) -> Kind {
        match self {
            Self::Target(_) | Self::Path(_) => Kind::InvalidArgument,
            Self::Server { .. } | Self::Folder { .. } | Self::NoNfs(_) | Self::Refused { .. } => {
                Kind::FailedPrecondition
            }
            Self::Late { .. } => Kind::DeadlineExceeded,
            Self::ShuttingDown => Kind::Unavailable,
        }
    }
}
