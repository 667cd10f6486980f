//! What a caller can do about a failure.

use std::error::Error;

/// Sorts failures by what the caller can do next; each face (RPC, HTTP) has one table from here to its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request itself is wrong: change it.
    InvalidArgument,
    /// The thing asked for is not there.
    NotFound,
    /// The thing to be made is there already.
    AlreadyExists,
    /// The credentials in force do not allow it.
    PermissionDenied,
    /// The caller did not say, or could not prove, who it is.
    Unauthenticated,
    /// The machine is not in the state that the request needs.
    FailedPrecondition,
    /// A bound of ours was reached: ask for less, or later.
    ResourceExhausted,
    /// The disk, the quota or the inode table is full.
    NoSpace,
    /// No such operation, here or at all.
    Unimplemented,
    /// Not now: the same request may succeed later.
    Unavailable,
    /// The caller went away.
    Canceled,
    /// Somebody with a say stopped it: ask again when that one agrees.
    Aborted,
    /// The caller's time ran out.
    DeadlineExceeded,
    /// Our fault, or the machine's.
    Internal,
}

/// An error that knows what a caller can do about it.
pub trait Failure: Error {
    /// Sorts this failure; implementations match without a wildcard arm.
    fn kind(&self) -> Kind;
}

/// Writes an error and its causes as one line, `outer: cause: root`.
#[must_use]
pub fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        line.push_str(": ");
        line.push_str(&next.to_string());
        cause = next.source();
    }
    line
}

/// Sorts an operating-system error where the verb adds no meaning of its own.
///
/// The table follows what published clients branch on: `NotFound` for a missing path (also when a parent is a
/// file), `InvalidArgument` for names that can never exist, `NoSpace` for anything that deleting files would cure.
#[must_use]
pub fn kind_of_io(error: &std::io::Error) -> Kind {
    use std::io::ErrorKind as E;
    match error.kind() {
        E::NotFound | E::NotADirectory => Kind::NotFound,
        E::AlreadyExists => Kind::AlreadyExists,
        E::PermissionDenied | E::ReadOnlyFilesystem => Kind::PermissionDenied,
        E::StorageFull | E::QuotaExceeded => Kind::NoSpace,
        E::InvalidInput | E::InvalidFilename | E::IsADirectory | E::FileTooLarge => Kind::InvalidArgument,
        E::DirectoryNotEmpty | E::ResourceBusy | E::ExecutableFileBusy => Kind::FailedPrecondition,
        E::Unsupported => Kind::Unimplemented,
        E::TimedOut => Kind::DeadlineExceeded,
        E::OutOfMemory => Kind::ResourceExhausted,
        _ => match error.raw_os_error() {
            Some(nix::libc::ELOOP) => Kind::FailedPrecondition,
            Some(nix::libc::EMFILE | nix::libc::ENFILE | nix::libc::EAGAIN) => Kind::ResourceExhausted,
            _ => Kind::Internal,
        },
    }
}
