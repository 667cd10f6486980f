//! Pipes, devices and files of `/proc`, whose end shows only when it comes.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use nix::libc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::ReadError;
use crate::fs::FsError;
use crate::sys::{file, poll};

/// Bytes of a piece: what a pipe holds.
const PIECE: usize = 64 * 1024;

/// Reads what comes, without holding a thread while nothing does.
///
/// A pipe that nobody writes to yet is waited for, as `cat` does; it ends when its last writer closes it.
#[derive(Debug)]
pub struct Live {
    path: PathBuf,
    start: Bytes,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Its readiness can be awaited.
    Awaited(AsyncFd<File>),
    /// It is always ready (epoll_ctl(2), EPERM).
    Ready(File),
    Ended,
}

impl Live {
    /// Prepares to give `start` and what follows it in `file`, which is open with O_NONBLOCK; call it in the runtime.
    ///
    /// # Errors
    /// When the descriptor cannot be registered.
    pub fn new(start: Bytes, file: File, path: PathBuf) -> Result<Self, ReadError> {
        // Files of /proc that can be polled tell about changes, not about content.
        let registered = match file.metadata() {
            Ok(found) if found.is_file() => Err(io::Error::from_raw_os_error(libc::EPERM)),
            _ => file.try_clone().and_then(|file| poll::register(file, Interest::READABLE)),
        };
        let state = match registered {
            Ok(awaited) => State::Awaited(awaited),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => State::Ready(file),
            Err(error) => return Err(FsError::io("read", &path)(error).into()),
        };
        Ok(Self { path, start, state })
    }

    /// Gives the next piece; `None` at the end.
    ///
    /// # Errors
    /// What the system said.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        if !self.start.is_empty() {
            return Ok(Some(std::mem::take(&mut self.start)));
        }
        let (piece, state) = match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => return Ok(None),
            State::Awaited(file) => {
                let piece = wait(&file).await.map_err(FsError::io("read", &self.path))?;
                (piece, State::Awaited(file))
            }
            State::Ready(file) => {
                let read = move || read(&file).map(|piece| (piece, State::Ready(file)));
                let read = tokio::task::spawn_blocking(read).await.map_err(|_| FsError::Panicked)?;
                read.map_err(FsError::io("read", &self.path))?
            }
        };
        if piece.is_empty() {
            return Ok(None);
        }
        self.state = state;
        Ok(Some(piece.into()))
    }
}

async fn wait(file: &AsyncFd<File>) -> io::Result<Vec<u8>> {
    loop {
        let mut ready = file.readable().await?;
        if let Ok(piece) = ready.try_io(|file| read(file.get_ref())) {
            return piece;
        }
    }
}

fn read(file: &File) -> io::Result<Vec<u8>> {
    let mut buffer = Vec::new();
    file::read_on(file, &mut buffer, PIECE)?;
    Ok(buffer)
}
