//! Targets that take bytes as they come: pipes, devices, files of virtual file systems.

use std::fs::File;
use std::io::{self, Write as _};

use bytes::{Buf, Bytes};
use nix::libc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::hop;
use crate::fs::FsError;
use crate::sys::{file, poll};

/// Writes without ever holding a thread of the pool while the other side does not read.
#[derive(Debug)]
pub(super) enum Straight {
    /// Its readiness can be awaited: a pipe, a terminal.
    Awaited(AsyncFd<File>),
    /// It is always ready, as files and most devices are (epoll_ctl(2), EPERM).
    Ready(File),
}

impl Straight {
    /// Takes over a file that was opened with O_NONBLOCK.
    pub(super) fn new(file: File) -> io::Result<Self> {
        match poll::register(file.try_clone()?, Interest::WRITABLE) {
            Ok(awaited) => Ok(Self::Awaited(awaited)),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(Self::Ready(file)),
            Err(error) => Err(error),
        }
    }

    /// Writes the whole batch.
    pub(super) async fn write(self, mut batch: Bytes) -> Result<Self, StraightError> {
        match self {
            Self::Awaited(file) => {
                while !batch.is_empty() {
                    let mut ready = file.writable().await?;
                    if let Ok(count) = ready.try_io(|file| file.get_ref().write(&batch)) {
                        batch.advance(count?);
                    }
                }
                Ok(Self::Awaited(file))
            }
            Self::Ready(file) => {
                let (outcome, file) = hop(move || (file::write_on(&file, &[batch]), file)).await?;
                outcome?;
                Ok(Self::Ready(file))
            }
        }
    }
}

/// Says why bytes could not go straight.
#[derive(Debug, thiserror::Error)]
pub(super) enum StraightError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The pool failed.
    #[error(transparent)]
    Fs(#[from] FsError),
}
