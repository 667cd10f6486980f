//! What others ask of the hub.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::oneshot;

use super::{Spec, WatchError, mailbox::Mailbox};
use crate::identity::User;

/// Asks the hub to begin telling somebody.
#[derive(Debug)]
pub(super) struct Subscribe {
    pub(super) id: u64,
    pub(super) spec: Spec,
    pub(super) user: User,
    pub(super) mailbox: Arc<Mailbox>,
    /// Answered when everything is armed.
    pub(super) reply: oneshot::Sender<Result<(), WatchError>>,
}

/// What others ask of the hub.
#[derive(Debug)]
pub(super) enum Command {
    Subscribe(Box<Subscribe>),
    Unsubscribe(u64),
    /// Answered when all that the kernel has queued so far is told.
    Settle(oneshot::Sender<()>),
    Stop,
}

/// The hub's queue of commands. Putting in never blocks.
#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
    /// Wakes the hub.
    bell: EventFd,
}

#[derive(Debug, Default)]
struct State {
    commands: VecDeque<Command>,
    closed: bool,
    /// Whether events are lost on purpose.
    #[cfg(test)]
    deaf: bool,
}

impl Inbox {
    /// Makes an empty queue.
    ///
    /// # Errors
    /// EMFILE.
    pub(super) fn new() -> io::Result<Self> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { state: Mutex::default(), bell })
    }

    /// Puts a command in. When the hub is gone the command is dropped, with the reply that it may carry.
    pub(super) fn command(&self, command: Command) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.closed {
            state.commands.push_back(command);
            drop(state);
            // It counts to 2^64.
            let _ = self.bell.write(1);
        }
    }

    /// Lends what is readable when commands are there.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Takes all commands.
    pub(super) fn take(&self) -> VecDeque<Command> {
        let _ = self.bell.read();
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).commands)
    }

    /// Drops what waits and all that comes.
    pub(super) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        let dropped = std::mem::take(&mut state.commands);
        drop(state);
        drop(dropped);
    }

    /// Loses all events from here on, or hears again.
    #[cfg(test)]
    pub(super) fn deafen(&self, deaf: bool) {
        self.state.lock().unwrap().deaf = deaf;
    }

    /// Says whether events are lost on purpose.
    #[cfg(test)]
    pub(super) fn is_deaf(&self) -> bool {
        self.state.lock().unwrap().deaf
    }
}
