//! Opens what a program reads and writes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::ProcessError;
use super::output::Channel;
use super::spec::{SpawnSpec, Stdio};
use crate::sys::fd;
use crate::sys::pty::{self, Terminal};

/// Both sides of what a program reads and writes.
pub(super) struct Files {
    pub(super) terminal: Option<Terminal>,
    /// Its stdin, stdout and stderr; one descriptor for all on a terminal.
    pub(super) theirs: [Arc<OwnedFd>; 3],
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
                let slave = Arc::new(opened.slave);
                Ok(Self {
                    terminal: Some(opened.terminal),
                    theirs: [Arc::clone(&slave), Arc::clone(&slave), slave],
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
            theirs: [input_theirs, stdout_theirs, stderr_theirs].map(Arc::new),
            // A pipe whose other end is closed reads as empty, and needs no /dev/null in the image.
            input: stdin.then_some(input),
            output: vec![(Channel::Stdout, stdout), (Channel::Stderr, stderr)],
        })
    }
}
