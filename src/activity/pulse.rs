//! When something last happened, and what is being answered now.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::sys::clock;

/// Names what can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Happening {
    /// A request was answered, or a stream ended.
    Rpc,
    /// A program was fed.
    Stdin,
    /// A program wrote that a client follows.
    Output,
    /// A program wrote that nobody follows.
    BackgroundOutput,
    /// A file was written or changed through the agent.
    FileWrite,
    /// A server of the guest received data from outside.
    Inbound,
    /// A program of the guest exchanged data with a server outside.
    Outbound,
    /// A key was sent to a terminal.
    TtyKey,
    /// Somebody said that the guest is in use, or gave up a hold.
    Touch,
}

impl Happening {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Rpc,
        Self::Stdin,
        Self::Output,
        Self::BackgroundOutput,
        Self::FileWrite,
        Self::Inbound,
        Self::Outbound,
        Self::TtyKey,
        Self::Touch,
    ];
}

/// Takes stamps; clones share them. The default one is nobody's: what it takes is lost with it.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Milliseconds of CLOCK_MONOTONIC; 0 for never.
    last: [AtomicU64; Happening::ALL.len()],
    streams: AtomicUsize,
    uploads: AtomicUsize,
    accepted: AtomicU64,
    /// Told when something that was open has ended.
    ended: Notify,
}

/// Counts a request as being answered until it is dropped.
#[derive(Debug)]
pub struct Turn {
    pulse: Pulse,
    upload: bool,
    /// Its end is no stamp.
    silent: bool,
}

impl Pulse {
    /// Says that something happens now. One store: cheap enough for each chunk of output.
    pub fn mark(&self, happening: Happening) {
        // Order does not matter, and of two marks at the same time either will do.
        self.slot(happening).store(millis(clock::coarse()), Ordering::Relaxed);
    }

    /// Says that something happened `ago`; an earlier time than the one known changes nothing.
    pub(super) fn mark_ago(&self, happening: Happening, ago: Duration) {
        let then = millis(clock::monotonic().saturating_sub(ago));
        self.slot(happening).fetch_max(then, Ordering::Relaxed);
    }

    /// Tells when something last happened, on CLOCK_MONOTONIC.
    #[must_use]
    pub fn last(&self, happening: Happening) -> Option<Duration> {
        let at = self.slot(happening).load(Ordering::Relaxed);
        (at > 0).then(|| Duration::from_millis(at))
    }

    /// Counts a request that is being answered.
    #[must_use]
    pub fn turn(&self, upload: bool) -> Turn {
        let turn = Turn { pulse: self.clone(), upload, silent: false };
        turn.count().fetch_add(1, Ordering::Relaxed);
        turn
    }

    /// Counts a TCP connection to the agent, which is none to the guest's own servers.
    pub fn accepted(&self) {
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Says that something that was open has ended, to whoever waits for that.
    pub fn ended(&self) {
        self.0.ended.notify_waiters();
    }

    pub(super) fn until_ended(&self) -> Notified<'_> {
        self.0.ended.notified()
    }

    /// Counts the requests being answered: uploads, and others.
    pub(super) fn open(&self) -> (usize, usize) {
        (self.0.uploads.load(Ordering::Relaxed), self.0.streams.load(Ordering::Relaxed))
    }

    pub(super) fn connections_accepted(&self) -> u64 {
        self.0.accepted.load(Ordering::Relaxed)
    }

    fn slot(&self, happening: Happening) -> &AtomicU64 {
        &self.0.last[happening as usize]
    }
}

impl Turn {
    /// Ends it as if it had never been: it was refused.
    pub fn never(mut self) {
        self.silent = true;
    }

    fn count(&self) -> &AtomicUsize {
        if self.upload { &self.pulse.0.uploads } else { &self.pulse.0.streams }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.silent {
            self.pulse.mark(Happening::Rpc);
        }
        if self.upload && !self.silent {
            self.pulse.mark(Happening::FileWrite);
        }
        self.count().fetch_sub(1, Ordering::Relaxed);
        self.pulse.ended();
    }
}

/// The machine has run for a millisecond before anything happens.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_happening_has_a_stamp_of_its_own() {
        for happening in Happening::ALL {
            let pulse = Pulse::default();
            pulse.mark(happening);
            for other in Happening::ALL {
                assert_eq!(pulse.last(other).is_some(), other == happening);
            }
        }
    }

    #[test]
    fn what_happened_before_does_not_overwrite_what_happened_since() {
        let pulse = Pulse::default();
        pulse.mark_ago(Happening::Inbound, Duration::ZERO);
        let last = pulse.last(Happening::Inbound).unwrap();
        pulse.mark_ago(Happening::Inbound, Duration::from_secs(1));
        assert_eq!(pulse.last(Happening::Inbound), Some(last));
    }

    #[tokio::test]
    async fn the_end_of_a_turn_is_counted_stamped_and_told() {
        let pulse = Pulse::default();
        let (turn, upload) = (pulse.turn(false), pulse.turn(true));
        assert_eq!((pulse.open(), pulse.last(Happening::Rpc)), ((1, 1), None));
        let ended = pulse.until_ended();
        drop(turn);
        ended.await;
        assert_eq!(pulse.open(), (1, 0));
        assert!(pulse.last(Happening::Rpc).is_some() && pulse.last(Happening::FileWrite).is_none());
        drop(upload);
        assert!(pulse.open() == (0, 0) && pulse.last(Happening::FileWrite).is_some());
    }
}
