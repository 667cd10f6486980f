//! What can go wrong with one hook.

use std::io;
use std::time::Duration;

use crate::base::{Failure, Kind};

/// Says why a hook did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// No execute bit is set: that is how people switch a hook off.
    #[error("not executable")]
    NotExecutable,
    /// A folder, a symbolic link, a pipe.
    #[error("not a regular file")]
    NotRegular,
    /// Whoever owns it could make root run anything.
    #[error("owned by user {0} and not by root")]
    Owner(u32),
    /// Whoever can write to it could make root run anything.
    #[error("writable by others than root (mode {0:03o})")]
    Writable(u32),
    /// The file or the folder cannot be looked at.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// A line of a `.http` file.
    #[error("line {line}: {why}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It did not come to run.
    #[error("cannot start it")]
    Start(#[source] io::Error),
    /// It cannot be followed.
    #[error("cannot follow it")]
    Follow(#[source] io::Error),
    /// It ended with a code other than 0.
    #[error("ended with code {0}")]
    Code(i32),
    /// A signal ended it.
    #[error("ended by signal {0}")]
    Signal(i32),
    /// It took longer than it had; what ran of it was killed, the connection closed.
    #[error("not done after {} ms", .0.as_millis())]
    Late(Duration),
    /// It took longer than it had and did not die of SIGKILL within the grace (an uninterruptible wait).
    #[error("not done after {} ms, and SIGKILL has not ended it yet", .0.as_millis())]
    Abandoned(Duration),
    /// Earlier ones had used up the time of all.
    #[error("not asked: no time was left")]
    NoTime,
    /// Nobody listens there.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection broke")]
    Exchange(#[source] io::Error),
    /// The server answered something that is not HTTP, or nothing.
    #[error("not an HTTP answer")]
    NotHttp,
    /// The server answered with a status outside 200 to 299.
    #[error("status {0}")]
    Status(u16),
    /// A listener asked not to be frozen now.
    #[error("busy: {0}")]
    Busy(String),
}

impl HookError {
    /// Says whether something that should have been prepared was not; a file that is no hook is no failure.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::NotExecutable | Self::NotRegular)
    }
}

impl Failure for HookError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotExecutable | Self::NotRegular | Self::Owner(_) | Self::Writable(_) | Self::Line { .. } => {
                Kind::InvalidArgument
            }
            Self::Late(_) | Self::Abandoned(_) | Self::NoTime => Kind::DeadlineExceeded,
            Self::Connect { .. } | Self::Exchange(_) => Kind::Unavailable,
            Self::Code(_) | Self::Signal(_) | Self::NotHttp | Self::Status(_) | Self::Busy(_) => {
                Kind::FailedPrecondition
            }
            Self::Read(_) | Self::Start(_) | Self::Follow(_) => Kind::Internal,
        }
    }
}
