//! What can go wrong with a program that is not the program's own doing.

use std::io;
use std::path::PathBuf;

use crate::base::{Failure, Kind};

/// Says why a program could not be started, found, fed or signalled.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// A string that no system call can take.
    #[error("{what} contains a NUL byte")]
    Nul {
        /// Which string.
        what: &'static str,
    },
    /// The folder to start in is missing.
    #[error("cwd '{0}' does not exist")]
    NoFolder(PathBuf),
    /// The folder to start in is not one, or not for this user.
    #[error("error starting process '{program}': cannot enter cwd '{cwd}'")]
    Folder {
        /// What was to run.
        program: String,
        /// Where.
        cwd: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The kernel refused the program before it ran, as for an argument list that is too long.
    #[error("error starting process '{program}'")]
    Start {
        /// What was to run.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The terminal could not be opened.
    #[error("error starting pty '{program}'")]
    Terminal {
        /// What was to run.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// We could not become the user.
    #[error("cannot switch to user '{user}'")]
    Switch {
        /// The account.
        user: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Pipes, descriptors, processes: something of the machine ran out.
    #[error("cannot {verb}")]
    Machine {
        /// What was tried.
        verb: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No live process has this id.
    #[error("process with pid {0} not found")]
    NoPid(u32),
    /// No live process has this tag.
    #[error("process with tag {0} not found")]
    NoTag(String),
    /// Stdin is disabled, closed, or the program closed its end.
    #[error("cannot write to stdin: {0}")]
    Stdin(&'static str),
    /// Writing to the program failed.
    #[error("cannot write to the process")]
    Write(#[source] io::Error),
    /// Terminal input for a process with pipes.
    #[error("the process has no terminal")]
    NoTerminal,
    /// Pipe input for a process on a terminal.
    #[error("the process runs on a terminal: send pty input")]
    OnTerminal,
    /// Closing the input of a terminal.
    #[error("a terminal's input cannot be closed: send Ctrl+D (0x04)")]
    CloseTerminal,
    /// Sending a signal failed.
    #[error("cannot signal process {pid}")]
    Signal {
        /// Whom.
        pid: u32,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Resizing failed.
    #[error("cannot resize the terminal")]
    Resize(#[source] io::Error),
    /// The agent is going down.
    #[error("the agent is shutting down")]
    ShuttingDown,
}

impl Failure for ProcessError {
    fn kind(&self) -> Kind {
        match self {
            Self::Nul { .. } | Self::NoFolder(_) | Self::Folder { .. } | Self::Terminal { .. } => Kind::InvalidArgument,
            Self::Start { source, .. } => match source.raw_os_error() {
                Some(nix::libc::EAGAIN | nix::libc::ENOMEM | nix::libc::EMFILE | nix::libc::ENFILE) => {
                    Kind::ResourceExhausted
                }
                _ => Kind::InvalidArgument,
            },
            Self::NoPid(_) | Self::NoTag(_) => Kind::NotFound,
            Self::ShuttingDown => Kind::Unavailable,
            Self::Switch { .. }
            | Self::Machine { .. }
            | Self::Stdin(_)
            | Self::Write(_)
            | Self::NoTerminal
            | Self::OnTerminal
            | Self::CloseTerminal
            | Self::Signal { .. }
            | Self::Resize(_) => Kind::Internal,
        }
    }
}
