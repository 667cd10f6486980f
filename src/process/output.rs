//! What a program wrote: one ring, one cursor a reader.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Exit;
use crate::base::{Chunk, Ring};

/// Bounds what is kept and how long a program waits for whoever reads it.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes kept for each process.
    pub ring: usize,
    /// How long the only reader may take nothing while the program waits for it.
    pub stall_alone: Duration,
    /// The same when other readers wait too.
    pub stall_shared: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ring: 1 << 20, stall_alone: Duration::from_secs(120), stall_shared: Duration::from_secs(5) }
    }
}

/// Tells where bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A terminal carries both.
    Pty,
}

/// Tells a reader what came next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes, in the order in which they were read from the program.
    Data(Chunk<Channel>),
    /// The program has ended, and everything it wrote before was told. Nothing follows.
    End(Exit),
    /// This reader was too slow and has been cut off at this offset. Nothing follows.
    Lagged(u64),
}

/// Holds the output of one program.
#[derive(Debug)]
pub struct Log {
    settings: Settings,
    state: Mutex<State>,
    /// Told after each push, the end, and a cut.
    readable: Notify,
    /// Told when a reader moved or left while somebody waits to push.
    space: Notify,
}

#[derive(Debug)]
struct State {
    ring: Ring<Channel>,
    readers: Vec<Option<Reader>>,
    /// How it ended, and the offset behind the last byte from before.
    end: Option<(u64, Exit)>,
    /// What to keep once nobody reads.
    fade: Option<usize>,
}

#[derive(Debug)]
struct Reader {
    cursor: u64,
    moved: Instant,
    cut: bool,
}

/// Reads a log from its own cursor; dropping it frees whoever waited for it.
#[derive(Debug)]
pub struct Subscription {
    log: Arc<Log>,
    id: usize,
    start: u64,
}

impl Log {
    /// Makes an empty log.
    #[must_use]
    pub fn new(settings: Settings) -> Arc<Self> {
        let ring = Ring::new(settings.ring);
        let state = Mutex::new(State { ring, readers: Vec::new(), end: None, fade: None });
        Arc::new(Self { settings, state, readable: Notify::new(), space: Notify::new() })
    }

    /// Starts reading at `offset`, or now. An offset that is no longer held is moved to the oldest byte, one that
    /// does not exist yet to the newest; [`Subscription::start`] tells.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, offset: Option<u64>) -> Subscription {
        let mut state = self.lock();
        let now = state.ring.end();
        let start = offset.map_or(now, |offset| offset.clamp(state.ring.start(), now));
        let reader = Some(Reader { cursor: start, moved: Instant::now(), cut: false });
        let free = state.readers.iter().position(Option::is_none);
        let id = free.unwrap_or(state.readers.len());
        match free {
            Some(index) => state.readers[index] = reader,
            None => state.readers.push(reader),
        }
        drop(state);
        Subscription { log: Arc::clone(self), id, start }
    }

    /// Appends bytes; waits while that would make a reader lose some, within the policy. Cancel-safe: nothing is
    /// appended by a push that did not return.
    pub async fn push(&self, channel: Channel, bytes: Bytes) {
        let mut blocked = None;
        loop {
            let mut space = pin!(self.space.notified());
            space.as_mut().enable();
            let deadline = {
                let mut state = self.lock();
                let Some(deadline) = state.wait_for(bytes.len(), &self.settings, &mut blocked) else {
                    state.ring.push(channel, bytes);
                    drop(state);
                    self.readable.notify_waiters();
                    return;
                };
                deadline
            };
            let _ = tokio::time::timeout_at(deadline, space).await;
        }
    }

    /// Appends bytes without waiting and without loss, beyond the ring's bound if a reader is behind: for the last
    /// words of a program, which the caller bounds.
    pub fn push_last(&self, channel: Channel, bytes: Bytes) {
        let mut state = self.lock();
        let floor = state.ring.start_after(bytes.len());
        if state.readers.iter().flatten().any(|reader| !reader.cut && reader.cursor < floor) {
            state.ring.append(channel, bytes);
        } else {
            state.ring.push(channel, bytes);
        }
        drop(state);
        self.readable.notify_waiters();
    }

    /// Says that the program ended; what was pushed so far is what it wrote before.
    pub fn finish(&self, exit: Exit) {
        let mut state = self.lock();
        state.end = Some((state.ring.end(), exit));
        drop(state);
        self.readable.notify_waiters();
    }

    /// Keeps only the newest `limit` bytes as soon as nobody reads.
    pub fn fade(&self, limit: usize) {
        let mut state = self.lock();
        state.fade = Some(limit);
        state.fade_unread();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fade_unread(&mut self) {
        if let Some(limit) = self.fade
            && self.readers.iter().flatten().all(|reader| reader.cut)
        {
            self.ring.set_limit(limit);
        }
    }

    /// Says until when a push of `length` bytes has to wait; cuts off the readers whose time is up.
    fn wait_for(&mut self, length: usize, settings: &Settings, blocked: &mut Option<Instant>) -> Option<Instant> {
        let floor = self.ring.start_after(length);
        let live = self.readers.iter().flatten().filter(|reader| !reader.cut);
        let (slow, rest): (Vec<_>, Vec<_>) = live.partition(|reader| reader.cursor < floor);
        if slow.is_empty() {
            return None;
        }
        let limit = if rest.is_empty() { settings.stall_alone } else { settings.stall_shared };
        let now = Instant::now();
        let since = *blocked.get_or_insert(now);
        let mut wait: Option<Instant> = None;
        for reader in self.readers.iter_mut().flatten().filter(|reader| !reader.cut && reader.cursor < floor) {
            let due = reader.moved.max(since) + limit;
            if due <= now {
                reader.cut = true;
            } else {
                wait = Some(wait.map_or(due, |wait| wait.min(due)));
            }
        }
        wait
    }
}

impl Subscription {
    /// Tells the offset of the first byte that this reader gets.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Waits for what comes next. Cancel-safe: an event that was not returned comes again.
    pub async fn next(&mut self) -> Event {
        loop {
            let mut readable = pin!(self.log.readable.notified());
            readable.as_mut().enable();
            if let Some(event) = self.take() {
                return event;
            }
            readable.await;
        }
    }

    fn take(&self) -> Option<Event> {
        let mut guard = self.log.lock();
        let State { ring, readers, end, .. } = &mut *guard;
        let reader = readers.get_mut(self.id)?.as_mut()?;
        if reader.cut {
            return Some(Event::Lagged(reader.cursor));
        }
        if let Some((last, exit)) = end
            && reader.cursor >= *last
        {
            return Some(Event::End(*exit));
        }
        let chunk = ring.read(reader.cursor)?;
        if chunk.start > reader.cursor {
            reader.cut = true;
            return Some(Event::Lagged(reader.cursor));
        }
        reader.cursor += chunk.bytes.len() as u64;
        reader.moved = Instant::now();
        drop(guard);
        self.log.space.notify_waiters();
        Some(Event::Data(chunk))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.log.lock();
        if let Some(reader) = state.readers.get_mut(self.id) {
            *reader = None;
        }
        state.fade_unread();
        drop(state);
        self.log.space.notify_waiters();
    }
}
