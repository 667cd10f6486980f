//! What waits for the hub: raw events and commands.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::{Spec, WatchError, mailbox::Mailbox};
use crate::identity::User;

/// Most raw events that wait: four times the kernel's own default queue (fs.inotify.max_queued_events, 16,384), about
/// 6 MiB. Beyond, events are forgotten and looked for, as when the kernel's queue overflows.
const MOST: usize = 65_536;

/// What the kernel says about a path that [`super::feed`] made up.
#[derive(Debug)]
pub(super) struct Raw {
    /// A watched directory's path in the feed, or that with one name more.
    pub(super) path: PathBuf,
    pub(super) op: Op,
}

/// What happened, in the kernel's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Create,
    Write,
    Attrib,
    Delete,
    /// With the number that connects the two halves; a directory that learns of its own move has none.
    MovedFrom(Option<usize>),
    MovedTo(Option<usize>),
}

/// Asks the hub to begin telling somebody.
#[derive(Debug)]
pub(super) struct Subscribe {
    pub(super) id: u64,
    pub(super) spec: Spec,
    pub(super) user: User,
    pub(super) mailbox: std::sync::Arc<Mailbox>,
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

/// Everything that waited: first the events, with nothing in the place of those that were lost, then the commands.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) raws: VecDeque<Option<Raw>>,
    pub(super) commands: VecDeque<Command>,
}

/// The hub's queue. Putting in never blocks.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct State {
    batch: Batch,
    closed: bool,
    /// Whether raw events are lost on purpose.
    #[cfg(test)]
    deaf: bool,
}

impl Inbox {
    /// Puts a raw event in, or forgets it and remembers that.
    pub(super) fn raw(&self, raw: Raw) {
        self.put(|state| {
            let room = state.batch.raws.len() < MOST;
            #[cfg(test)]
            let room = room && !state.deaf;
            if room { state.batch.raws.push_back(Some(raw)) } else { state.batch.lose() }
        });
    }

    /// Says that events were lost.
    pub(super) fn lost(&self) {
        self.put(|state| state.batch.lose());
    }

    /// Puts a command in. When the hub is gone the command is dropped, with the reply that it may carry.
    pub(super) fn command(&self, command: Command) {
        self.put(|state| state.batch.commands.push_back(command));
    }

    /// Loses all raw events from here on, or hears again.
    #[cfg(test)]
    pub(super) fn deafen(&self, deaf: bool) {
        self.state.lock().unwrap().deaf = deaf;
    }

    /// Waits for anything and takes all.
    pub(super) fn take(&self) -> Batch {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state =
            self.ready.wait_while(state, |state| state.batch.is_empty()).unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.batch)
    }

    /// Drops what waits and all that comes.
    pub(super) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        let dropped = std::mem::take(&mut state.batch);
        drop(state);
        drop(dropped);
    }

    fn put(&self, put: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return;
        }
        let idle = state.batch.is_empty();
        put(&mut state);
        if idle {
            self.ready.notify_one();
        }
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.raws.is_empty() && self.commands.is_empty()
    }

    fn lose(&mut self) {
        if !matches!(self.raws.back(), Some(None)) {
            self.raws.push_back(None);
        }
    }
}
