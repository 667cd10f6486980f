//! What can be wrong with a name, a path or a proof.

use crate::base::{Failure, Kind};

/// Says why a request's identity, path or proof was refused.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The named account is in neither `/etc/passwd` nor numeric.
    #[error("invalid username: '{0}'")]
    UnknownUser(String),
    /// The default account does not exist (any more).
    #[error("invalid default user: '{0}'")]
    UnknownDefaultUser(String),
    /// The account files could not be read.
    #[error("cannot read {file}")]
    Unreadable {
        /// Which file.
        file: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// `~name` asks for another user's home.
    #[error("cannot expand user-specific home dir")]
    ForeignHome,
    /// A path with a NUL byte cannot exist.
    #[error("path contains a NUL byte")]
    NulInPath,
    /// A path longer than the kernel takes.
    #[error("path is {0} bytes long, the limit is 4095")]
    PathTooLong(usize),
    /// Nothing to resolve: no path, no default folder, no home.
    #[error("path is empty")]
    EmptyPath,
}

impl Failure for IdentityError {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownUser(_) | Self::UnknownDefaultUser(_) => Kind::Unauthenticated,
            Self::Unreadable { .. } => Kind::Internal,
            Self::ForeignHome | Self::NulInPath | Self::PathTooLong(_) | Self::EmptyPath => Kind::InvalidArgument,
        }
    }
}
