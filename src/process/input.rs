//! What a program reads: its stdin pipe, or the keyboard side of its terminal.
//!
//! Nothing is registered and no task runs until somebody writes. Then one task owns the descriptor and writes the
//! messages in the order in which they were accepted; a full pipe holds up the writers and nobody else, so closing
//! and signalling always work.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use bytes::{Buf, Bytes};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

use super::ProcessError;
use crate::base::Tasks;
use crate::sys::{fd, poll};

/// Messages that wait behind the one being written; more wait in their callers.
const QUEUE: usize = 4;

/// Holds the writing end.
#[derive(Debug)]
pub(super) struct Input {
    state: Mutex<State>,
    tasks: Tasks,
}

#[derive(Debug)]
enum State {
    Unused(OwnedFd),
    Open(mpsc::Sender<Message>),
    Closed(&'static str),
}

#[derive(Debug)]
struct Message {
    bytes: Bytes,
    written: oneshot::Sender<io::Result<()>>,
}

impl Input {
    pub(super) fn new(file: Option<OwnedFd>, tasks: Tasks) -> Self {
        let state = file.map_or(State::Closed("it is disabled for this process"), State::Unused);
        Self { state: Mutex::new(state), tasks }
    }

    /// Writes all bytes. A caller that gives up before its turn writes nothing; after that, everything.
    pub(super) async fn write(&self, bytes: Bytes) -> Result<(), ProcessError> {
        let (written, result) = oneshot::channel();
        let gone = || ProcessError::Stdin("it is closed");
        self.sender()?.send(Message { bytes, written }).await.map_err(|_| gone())?;
        result.await.map_err(|_| gone())?.map_err(ProcessError::Write)
    }

    /// Closes the pipe behind what was accepted so far; once is enough, twice is no error.
    pub(super) fn close(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Closed("it is closed");
    }

    fn sender(&self) -> Result<mpsc::Sender<Message>, ProcessError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Closed("it is closed")) {
            State::Unused(file) => {
                let machine = |source| ProcessError::Machine { verb: "write to the process", source };
                fd::set_nonblocking(file.as_fd()).map_err(machine)?;
                let file = poll::register(file, Interest::WRITABLE).map_err(machine)?;
                let (sender, messages) = mpsc::channel(QUEUE);
                self.tasks.spawn(run(file, messages));
                *state = State::Open(sender.clone());
                Ok(sender)
            }
            State::Open(sender) => {
                *state = State::Open(sender.clone());
                Ok(sender)
            }
            State::Closed(why) => {
                *state = State::Closed(why);
                Err(ProcessError::Stdin(why))
            }
        }
    }
}

async fn run(file: AsyncFd<OwnedFd>, mut messages: mpsc::Receiver<Message>) {
    while let Some(Message { bytes, written }) = messages.recv().await {
        // Nobody is told when the caller has left.
        let _ = written.send(write_all(&file, bytes).await);
    }
}

async fn write_all(file: &AsyncFd<OwnedFd>, mut bytes: Bytes) -> io::Result<()> {
    while bytes.has_remaining() {
        let count = file.async_io(Interest::WRITABLE, |file| Ok(rustix::io::write(file, &bytes)?)).await?;
        bytes.advance(count);
    }
    Ok(())
}
