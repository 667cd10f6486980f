//! What others may do with a running program.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use nix::libc;

use super::input::Input;
use super::output::Log;
use super::{Command, ProcessError, Size, Subscription};
use crate::activity::{Happening, Pulse};
use crate::sys::pty::Terminal;
use crate::sys::wait;
use crate::workload::{Leaf, Workload};

/// Names a running program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// By process id.
    Pid(u32),
    /// By tag; of several the latest one.
    Tag(String),
}

/// Feeds, follows and signals one program. It stays valid after the end: the verbs then fail as for a closed pipe.
#[derive(Debug)]
pub struct Handle {
    pub(super) pid: u32,
    pub(super) command: Command,
    pub(super) tag: Option<String>,
    pub(super) log: Arc<Log>,
    pub(super) input: Input,
    pub(super) terminal: Option<Terminal>,
    pub(super) pidfd: Arc<OwnedFd>,
    pub(super) leaf: Option<Arc<Leaf>>,
    pub(super) workload: Arc<Workload>,
    pub(super) killed: AtomicBool,
    /// It is the host's own.
    pub(super) system: bool,
    pub(super) pulse: Pulse,
}

impl Handle {
    /// Gives the process id, which is also the id of its session and group.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Gives the command as it was sent.
    #[must_use]
    pub fn command(&self) -> &Command {
        &self.command
    }

    /// Gives the tag.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Follows the output from `offset`, or from now.
    #[must_use]
    pub fn subscribe(&self, offset: Option<u64>) -> Subscription {
        self.log.subscribe(offset)
    }

    /// Writes to the stdin pipe and returns when the pipe has taken everything.
    ///
    /// # Errors
    /// [`ProcessError::OnTerminal`], [`ProcessError::Stdin`] when it is disabled or closed, [`ProcessError::Write`].
    pub async fn write_stdin(&self, bytes: Bytes) -> Result<(), ProcessError> {
        match self.terminal {
            Some(_) => Err(ProcessError::OnTerminal),
            None => {
                self.pulse.mark(Happening::Stdin);
                self.input.write(bytes).await
            }
        }
    }

    /// Types into the terminal and returns when it has taken everything.
    ///
    /// # Errors
    /// [`ProcessError::NoTerminal`], [`ProcessError::Write`].
    pub async fn write_terminal(&self, bytes: Bytes) -> Result<(), ProcessError> {
        match self.terminal {
            Some(_) => {
                self.pulse.mark(Happening::TtyKey);
                self.input.write(bytes).await
            }
            None => Err(ProcessError::NoTerminal),
        }
    }

    /// Closes stdin behind what was written; it is no error when there is none or it is closed.
    ///
    /// # Errors
    /// [`ProcessError::CloseTerminal`].
    pub fn close_stdin(&self) -> Result<(), ProcessError> {
        match self.terminal {
            Some(_) => Err(ProcessError::CloseTerminal),
            None => {
                self.input.close();
                Ok(())
            }
        }
    }

    /// Resizes the terminal.
    ///
    /// # Errors
    /// [`ProcessError::NoTerminal`], [`ProcessError::Resize`].
    pub fn resize(&self, size: Size) -> Result<(), ProcessError> {
        let terminal = self.terminal.as_ref().ok_or(ProcessError::NoTerminal)?;
        terminal.resize(size.cols, size.rows).map_err(ProcessError::Resize)
    }

    /// Asks the program and all its descendants to end (SIGTERM).
    ///
    /// # Errors
    /// [`ProcessError::Signal`].
    pub fn terminate(&self) -> Result<(), ProcessError> {
        self.signal(libc::SIGTERM)
    }

    /// Kills the program and all its descendants (SIGKILL). What they wrote before is still told.
    ///
    /// # Errors
    /// [`ProcessError::Signal`].
    pub fn kill(&self) -> Result<(), ProcessError> {
        self.killed.store(true, Ordering::Release);
        self.signal(libc::SIGKILL)
    }

    /// The leader first: a shell that sees its child die would go on with the next command.
    fn signal(&self, number: i32) -> Result<(), ProcessError> {
        let family = self.workload.family(self.pid, self.leaf.as_deref());
        wait::signal(self.pidfd.as_fd(), number).map_err(|source| ProcessError::Signal { pid: self.pid, source })?;
        self.workload.signal_family(&family, self.leaf.as_deref(), number);
        Ok(())
    }
}
