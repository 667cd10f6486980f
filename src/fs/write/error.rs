//! What can go wrong with an upload.

use std::io;
use std::path::{Path, PathBuf};

use nix::libc;

use crate::base::{Failure, Kind};
use crate::fs::FsError;
use crate::sys::file;

/// Says why a file was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk or the quota is full; what was there is still there.
    #[error("not enough disk space available")]
    NoSpace,
    /// The file system has no inode left.
    #[error("not enough inodes available")]
    NoInodes,
    /// What is there is not what the condition asks for.
    #[error("path '{}' does not meet the precondition", .0.display())]
    Unmet(PathBuf),
    /// A pipe without a reader, or a socket: there is nobody to write to.
    #[error("nobody reads from '{}'", .0.display())]
    NoReader(PathBuf),
    /// A pipe or device where only a file will do, perhaps since the upload began.
    #[error("path '{}' is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// Anything that other verbs meet too.
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl WriteError {
    /// Makes a closure that sorts what the system said about `verb` on `path`.
    pub(super) fn io<'a>(verb: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| match source.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => Self::NoSpace,
            Some(libc::ENXIO) => Self::NoReader(path.to_owned()),
            _ => Self::Fs(FsError::io(verb, path)(source)),
        }
    }

    /// Tells a full inode table from a full disk, for calls that make a file near `place`.
    pub(super) fn making<'a>(path: &'a Path, place: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| {
            let inodes = std::fs::File::open(place).and_then(|place| file::space(&place)).ok().and_then(|it| it.inodes);
            match Self::io("create", path)(source) {
                Self::NoSpace if inodes == Some(0) => Self::NoInodes,
                other => other,
            }
        }
    }
}

impl Failure for WriteError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSpace | Self::NoInodes => Kind::NoSpace,
            Self::Unmet(_) | Self::NoReader(_) | Self::NotRegular(_) => Kind::FailedPrecondition,
            Self::Fs(error) => match error {
                FsError::Io { source, .. } if is_full(source) => Kind::NoSpace,
                other => other.kind(),
            },
        }
    }
}

/// Says whether deleting files would cure the error.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
}
