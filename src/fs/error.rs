//! What can go wrong with a file.

use std::io;
use std::path::{Path, PathBuf};

use nix::libc;

use crate::base::kind::kind_of_io;
use crate::base::{Failure, Kind};
use crate::identity::IdentityError;

/// Says why a verb on files failed.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    /// Nothing has this name, or a part of the path is a file.
    #[error("path '{}' does not exist", .0.display())]
    Missing(PathBuf),
    /// A directory stands where a file is wanted.
    #[error("path '{}' is a directory", .0.display())]
    IsDirectory(PathBuf),
    /// Something else stands where a directory is wanted.
    #[error("path '{}' is not a directory", .0.display())]
    NotDirectory(PathBuf),
    /// The directory to be made is there.
    #[error("directory '{}' already exists", .0.display())]
    DirectoryExists(PathBuf),
    /// Resolving the path meets too many symbolic links.
    #[error("path '{}' has a loop of symbolic links", .0.display())]
    Loop(PathBuf),
    /// Removing this would take the machine apart.
    #[error("refusing to remove '{}'", .0.display())]
    Protected(PathBuf),
    /// The request has no path, where falling back to a default folder would be dangerous.
    #[error("path is empty")]
    NoPath,
    /// A directory cannot move into itself.
    #[error("cannot move '{}' into itself", .0.display())]
    IntoItself(PathBuf),
    /// A socket, or a device without hardware: nothing is at its other end.
    #[error("nothing is behind '{}'", .0.display())]
    NoPeer(PathBuf),
    /// Pairs that cannot be stored.
    #[error("invalid metadata: {0}")]
    Metadata(String),
    /// The system refused.
    #[error("cannot {verb} '{}'", path.display())]
    Io {
        /// What we tried, as a verb.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The user's identity cannot be taken.
    #[error("cannot act as user '{user}'")]
    Identity {
        /// Who was meant.
        user: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The account files cannot be read.
    #[error("cannot name owners")]
    Accounts(#[from] IdentityError),
    /// The code that did the work panicked.
    #[error("file operation failed unexpectedly")]
    Panicked,
}

impl FsError {
    /// Makes a closure that sorts what the system said about `verb` on `path`.
    ///
    /// A missing path and a file in the middle of a path are both [`Self::Missing`]: either way the thing asked for
    /// is not there. [`Self::Loop`] is told apart because clients branch on it.
    pub fn io<'a>(verb: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| match source.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => Self::Missing(path.to_owned()),
            Some(libc::ELOOP) => Self::Loop(path.to_owned()),
            Some(libc::EISDIR) => Self::IsDirectory(path.to_owned()),
            Some(libc::ENXIO | libc::ENODEV) => Self::NoPeer(path.to_owned()),
            _ => Self::Io { verb, path: path.to_owned(), source },
        }
    }
}

impl Failure for FsError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing(_) => Kind::NotFound,
            Self::IsDirectory(_)
            | Self::NotDirectory(_)
            | Self::Protected(_)
            | Self::NoPath
            | Self::IntoItself(_)
            | Self::Metadata(_) => Kind::InvalidArgument,
            Self::DirectoryExists(_) => Kind::AlreadyExists,
            Self::Loop(_) | Self::NoPeer(_) => Kind::FailedPrecondition,
            Self::Io { source, .. } => kind_of_io(source),
            Self::Identity { .. } => Kind::PermissionDenied,
            Self::Accounts(source) => source.kind(),
            Self::Panicked => Kind::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_the_middle_of_a_path_means_not_found() {
        for code in [libc::ENOENT, libc::ENOTDIR] {
            let error = FsError::io("stat", Path::new("/a"))(io::Error::from_raw_os_error(code));
            assert_eq!(error.kind(), Kind::NotFound);
            assert_eq!(error.to_string(), "path '/a' does not exist");
        }
    }

    #[test]
    fn a_loop_of_links_is_a_failed_precondition() {
        let error = FsError::io("open", Path::new("/a"))(io::Error::from_raw_os_error(libc::ELOOP));
        assert_eq!(error.kind(), Kind::FailedPrecondition);
    }
}
