//! What waits for one reader.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::{Event, WatchError};

/// Most events that wait for one reader: a burst of ten thousand uploads with room to spare, about 6 MiB of names.
pub(super) const MOST: usize = 65_536;

/// Says what happens to a reader that does not keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overrun {
    /// It gets what waits, then the error, and that is the end.
    End,
    /// What waits is dropped; the next reading gets the error, later ones what comes after.
    Forget,
}

/// A bounded queue of events with one reader.
#[derive(Debug)]
pub(super) struct Mailbox {
    overrun: Overrun,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    error: Option<WatchError>,
    ended: bool,
}

impl Mailbox {
    pub(super) fn new(overrun: Overrun) -> Self {
        Self { overrun, state: Mutex::default(), arrived: Notify::new() }
    }

    /// Puts an event in; says whether more are wanted.
    pub(super) fn push(&self, event: Event) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ended {
            return false;
        }
        if state.events.len() < MOST {
            state.events.push_back(event);
        } else {
            state.error = Some(WatchError::Overrun(MOST));
            match self.overrun {
                Overrun::End => state.ended = true,
                Overrun::Forget => state.events = VecDeque::from([event]),
            }
        }
        let more = !state.ended;
        drop(state);
        self.arrived.notify_one();
        more
    }

    /// Ends the queue: the reader gets what waits, then the error.
    pub(super) fn end(&self, error: WatchError) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.ended {
            state.ended = true;
            state.error = Some(error);
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// Waits for the next event; after an error there is nothing. Cancelling loses nothing.
    pub(super) async fn next(&self) -> Option<Result<Event, WatchError>> {
        loop {
            let arrived = self.arrived.notified();
            {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(event) = state.events.pop_front() {
                    return Some(Ok(event));
                }
                if state.ended {
                    return state.error.take().map(Err);
                }
            }
            arrived.await;
        }
    }

    /// Takes all that waits, without waiting.
    pub(super) fn drain(&self) -> Result<Vec<Event>, WatchError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.error.take() {
            Some(error) => Err(error),
            None if state.ended && state.events.is_empty() => Err(WatchError::Stopped),
            None => Ok(std::mem::take(&mut state.events).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::watch::Change;

    fn event(name: usize) -> Event {
        Event { name: name.to_string(), change: Change::Create, entry: None }
    }

    #[tokio::test]
    async fn a_stream_that_is_not_read_gets_what_waits_then_an_error_then_its_end() {
        let mailbox = Mailbox::new(Overrun::End);
        let accepted = (0..MOST + 10).filter(|&name| mailbox.push(event(name))).count();
        assert_eq!(accepted, MOST);
        for name in 0..MOST {
            assert_eq!(mailbox.next().await.unwrap().unwrap().name, name.to_string());
        }
        assert!(matches!(mailbox.next().await, Some(Err(WatchError::Overrun(_)))));
        assert!(mailbox.next().await.is_none());
    }

    #[test]
    fn a_stored_watcher_that_is_not_read_says_so_once_and_goes_on() {
        let mailbox = Mailbox::new(Overrun::Forget);
        assert!((0..=MOST).all(|name| mailbox.push(event(name))));
        assert!(matches!(mailbox.drain(), Err(WatchError::Overrun(_))));
        mailbox.push(event(0));
        assert_eq!(mailbox.drain().unwrap().len(), 2);
        assert!(mailbox.drain().unwrap().is_empty());
    }
}
