//! Opens what a program reads and writes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::ProcessError;
use super::output::Channel;
use super::spec::{SpawnSpec, Stdio};
use crate::sys::fd;
use crate::sys::pty::{self, Terminal};

/// Both sides of what a program reads and writes.
pub(super) struct Files {
    pub(super) terminal: Option<Terminal>,
    /// Its stdin, stdout and stderr; one descriptor for all on a terminal.
    theirs: Vec<OwnedFd>,
    /// The end that feeds it.
    pub(super) input: Option<OwnedFd>,
    /// The ends that follow it.
    pub(super) output: Vec<(Channel, OwnedFd)>,
}

impl Files {
    pub(super) fn open(spec: &SpawnSpec) -> Result<Self, ProcessError> {
        match spec.stdio {
            Stdio::Terminal(size) => {
                let failed = |source| ProcessError::Terminal { program: spec.command.program.clone(), source };
                let opened = pty::open_terminal(size.cols, size.rows, spec.user.uid).map_err(failed)?;
                let input = fd::duplicate(opened.master.as_fd()).map_err(failed)?;
                Ok(Self {
                    terminal: Some(opened.terminal),
                    theirs: vec![opened.slave],
                    input: Some(input),
                    output: vec![(Channel::Pty, opened.master)],
                })
            }
            Stdio::Pipes { stdin } => {
                Self::pipes(stdin).map_err(|source| ProcessError::Machine { verb: "open pipes", source })
            }
        }
    }

    fn pipes(stdin: bool) -> io::Result<Self> {
        let (input_theirs, input) = fd::pipe()?;
        let (stdout, stdout_theirs) = fd::pipe()?;
        let (stderr, stderr_theirs) = fd::pipe()?;
        Ok(Self {
            terminal: None,
            theirs: vec![input_theirs, stdout_theirs, stderr_theirs],
            // A pipe whose other end is closed reads as empty, and needs no /dev/null in the image.
            input: stdin.then_some(input),
            output: vec![(Channel::Stdout, stdout), (Channel::Stderr, stderr)],
        })
    }

    pub(super) fn theirs(&self) -> [BorrowedFd<'_>; 3] {
        let last = self.theirs.len() - 1;
        [0, 1, 2].map(|index: usize| self.theirs[index.min(last)].as_fd())
    }
}
