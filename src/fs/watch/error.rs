//! What can go wrong with a watch.

use std::path::PathBuf;

use crate::base::{Failure, Kind};
use crate::fs::FsError;

/// Says why a watch could not be set up, or ended.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The directory cannot be watched.
    #[error(transparent)]
    Files(#[from] FsError),
    /// Changes that other machines make on a network filesystem raise no events here.
    #[error("path '{}' is on a network filesystem, which reports only changes made here", .0.display())]
    Network(PathBuf),
    /// The kernel's limit on watched directories is reached (fs.inotify.max_user_watches).
    #[error("no more directories can be watched, the limit is fs.inotify.max_user_watches")]
    Limit,
    /// Too many stored watchers.
    #[error("{0} watchers are stored, which is the limit: remove some")]
    TooMany(usize),
    /// No watcher has this id.
    #[error("watcher '{0}' not found")]
    Unknown(String),
    /// The reader did not keep up.
    #[error("more than {0} events were not read in time and are lost: list the directory again")]
    Overrun(usize),
    /// The system refused.
    #[error("cannot {0}")]
    System(&'static str, #[source] std::io::Error),
    /// The code that works on events ended.
    #[error("watching ended unexpectedly")]
    Stopped,
}

impl Failure for WatchError {
    fn kind(&self) -> Kind {
        match self {
            Self::Files(error) => error.kind(),
            Self::Network(_) => Kind::InvalidArgument,
            Self::Limit | Self::TooMany(_) | Self::Overrun(_) => Kind::ResourceExhausted,
            Self::Unknown(_) => Kind::NotFound,
            Self::System(..) | Self::Stopped => Kind::Internal,
        }
    }
}
