//! Who listens.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::line::{Event, Said};
use crate::activity::{ActivityError, Happening, Holder, Holds};

/// Lines that may wait for a listener: several freezes and thaws, with all that a kernel buffer holds before them.
const QUEUE: usize = 16;
/// Lines without effect that a listener may send between two events; who sends more is confused, or wants to keep us
/// busy.
const USELESS_MOST: u32 = 64;

/// Holds all listeners.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    listeners: BTreeMap<u64, Listener>,
    /// Numbers the next listener.
    next: u64,
    /// Numbers the freezes that were announced; an answer names the one it is for.
    freeze: u64,
    /// What listeners hold the guest awake by.
    holds: Holds,
}

/// Is one listener; dropping it ends its connection.
#[derive(Debug)]
struct Listener {
    uid: u32,
    pid: Option<i32>,
    waits: bool,
    useless: u32,
    queue: mpsc::Sender<Bytes>,
    asked: Option<oneshot::Sender<Answer>>,
    /// Tells its connection by being dropped, even when that is stuck in a write.
    _stays: oneshot::Sender<()>,
}

/// The end of a listener that its connection holds.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) id: u64,
    /// Lines to be sent.
    pub(super) lines: mpsc::Receiver<Bytes>,
    /// Fails when the listener is sent away.
    pub(super) sent_away: oneshot::Receiver<()>,
}

/// One listener that is waited for.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) name: String,
    /// Fails when the listener goes.
    pub(super) answer: oneshot::Receiver<Answer>,
}

/// What a listener answered, and when.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) at: Instant,
    /// Why it asks not to be frozen.
    pub(super) busy: Option<String>,
}

impl Crowd {
    /// Holds nobody yet.
    pub(super) fn new(holds: Holds) -> Self {
        Self { holds, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listeners.is_empty()
    }

    /// Counts all, and those of one user.
    pub(super) fn count(&self, uid: u32) -> (usize, usize) {
        (self.listeners.len(), self.listeners.values().filter(|listener| listener.uid == uid).count())
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.listeners.values().filter(|listener| listener.waits).count()
    }

    /// Takes a listener in; `hello` is its first line.
    pub(super) fn enter(&mut self, uid: u32, pid: Option<i32>, hello: Bytes) -> Seat {
        let (queue, lines) = mpsc::channel(QUEUE);
        let (stays, sent_away) = oneshot::channel();
        // A fresh queue has room.
        let _ = queue.try_send(hello);
        let id = self.next;
        self.next += 1;
        let listener = Listener { uid, pid, waits: false, useless: 0, queue, asked: None, _stays: stays };
        self.listeners.insert(id, listener);
        Seat { id, lines, sent_away }
    }

    pub(super) fn leave(&mut self, id: u64) {
        self.listeners.remove(&id);
        self.holds.release_all(id);
    }

    /// Puts a line in every queue; who has no room left is sent away.
    pub(super) fn tell(&mut self, line: &Bytes) {
        self.listeners.retain(|_, listener| {
            listener.useless = 0;
            listener.queue.try_send(line.clone()).is_ok()
        });
    }

    /// Numbers a freeze.
    pub(super) fn begin(&mut self) -> u64 {
        self.freeze += 1;
        self.freeze
    }

    /// Asks those who want to be waited for; the answers of an earlier freeze count no more.
    pub(super) fn ask(&mut self) -> Vec<Question> {
        let waiting = self.listeners.values_mut().filter(|listener| listener.waits);
        waiting
            .map(|listener| {
                let (tell, answer) = oneshot::channel();
                listener.asked = Some(tell);
                let name = listener.pid.map_or_else(|| "client".to_owned(), |pid| format!("client {pid}"));
                Question { name, answer }
            })
            .collect()
    }

    /// Takes what a listener said; `false` when it has said too much without effect.
    pub(super) fn hear(&mut self, id: u64, said: Said) -> bool {
        let freeze = self.freeze;
        let Some(listener) = self.listeners.get_mut(&id) else { return false };
        let busy = match said {
            Said::Wait(wait) if wait != listener.waits => {
                listener.waits = wait;
                return listener.count_useless();
            }
            Said::Ack(number) if number == freeze => None,
            Said::Busy(number, reason) if number == freeze => Some(reason),
            Said::Touch => {
                self.holds.pulse().mark(Happening::Touch);
                return true;
            }
            Said::Hold(..) | Said::Renew(..) | Said::Release(_) => return listener.holding(id, &self.holds, &said),
            Said::Wait(_) | Said::Ack(_) | Said::Busy(..) | Said::Unknown => return listener.count_useless(),
        };
        match listener.asked.take() {
            // Nobody waits any more: the freeze was given up.
            Some(asked) => {
                let _ = asked.send(Answer { at: Instant::now(), busy });
                true
            }
            None => listener.count_useless(),
        }
    }
}

impl Listener {
    /// Begins, renews or ends a hold and says so; the listener that has no room for the answer is cut off.
    fn holding(&mut self, id: u64, holds: &Holds, said: &Said) -> bool {
        let holder = Holder::Program { uid: self.uid, pid: self.pid, connection: id };
        let done = match said {
            Said::Hold(reason, ttl) => holds.hold(holder, reason, Duration::from_millis(*ttl)).map(held),
            Said::Renew(hold, ttl) => holds.renew(holder, *hold, Duration::from_millis(*ttl)).map(|()| held(*hold)),
            Said::Release(hold) => holds.release(holder, *hold).map(|()| Event::Released { hold: *hold }.line()),
            _ => return true,
        };
        let refused = |error: &ActivityError| Event::Refused { reason: &error.to_string() }.line();
        let line = done.as_ref().map_or_else(refused, Bytes::clone);
        self.queue.try_send(line).is_ok() && (done.is_ok() || self.count_useless())
    }

    fn count_useless(&mut self) -> bool {
        self.useless += 1;
        self.useless <= USELESS_MOST
    }
}

fn held(hold: u64) -> Bytes {
    Event::Held { hold }.line()
}
