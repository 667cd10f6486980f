//! What a program wrote: one ring, one cursor a reader.
//!
//! All waiting here is of running time: while the guest is not running, nobody is cut off, and the clock of a stall
//! starts again when it runs.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Exit;
use super::readers::Readers;
use crate::activity::{Happening, Pulse};
use crate::base::{Chunk, Lives, Phase, Ring};

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
    /// The guest is about to be paused. Nothing follows here; the place is kept for a reader that comes back.
    Parted {
        /// The first byte that was not told.
        offset: u64,
        /// The life of the guest that ends.
        generation: u64,
    },
}

/// Holds the output of one program.
#[derive(Debug)]
pub struct Log {
    settings: Settings,
    lives: Lives,
    pulse: Pulse,
    state: Mutex<State>,
    /// Told after each push, the end, and a cut.
    readable: Notify,
    /// Told when a reader moved or left while somebody waits to push.
    space: Notify,
}

#[derive(Debug)]
struct State {
    ring: Ring<Channel>,
    readers: Readers,
    /// Which parting of clients this was, and where readers part in it: where the furthest of them is, so that it does
    /// not matter which of them comes back first.
    parting: (u64, u64),
    /// How it ended, and the offset behind the last byte from before.
    end: Option<(u64, Exit)>,
    /// What to keep once nobody reads.
    fade: Option<usize>,
}

/// Says how long a push has to wait.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Now,
    Until(Instant),
    /// For as long as programs stand still.
    Still,
}

/// Reads a log from its own cursor; dropping it frees whoever waited for it, unless a pause is why it is dropped.
#[derive(Debug)]
pub struct Subscription {
    log: Arc<Log>,
    lives: Lives,
    id: usize,
    start: u64,
    /// It has parted: the place is not its own any more.
    parted: bool,
}

impl Log {
    /// Makes an empty log of a program that lives in this guest; what is written counts for `pulse`.
    #[must_use]
    pub fn new(settings: Settings, lives: Lives, pulse: Pulse) -> Arc<Self> {
        let (ring, readers) = (Ring::new(settings.ring), Readers::default());
        let state = Mutex::new(State { ring, readers, parting: (0, 0), end: None, fade: None });
        Arc::new(Self { settings, lives, pulse, state, readable: Notify::new(), space: Notify::new() })
    }

    /// Starts reading at `offset`; without one, where the reader stood that a pause took away first and that has not
    /// come back, or else now. An offset that is no longer held is moved to the oldest byte, one that does not exist
    /// yet to the newest; [`Subscription::start`] tells.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, offset: Option<u64>) -> Subscription {
        let mut state = self.lock();
        let now = state.ring.end();
        let (id, start) = match offset {
            Some(offset) => {
                let start = offset.clamp(state.ring.start(), now);
                state.readers.free_held(offset);
                (state.readers.add(start), start)
            }
            None => state.readers.take_held().unwrap_or_else(|| (state.readers.add(now), now)),
        };
        drop(state);
        self.space.notify_waiters();
        Subscription { log: Arc::clone(self), lives: self.lives.fresh(), id, start, parted: false }
    }

    /// Appends bytes if that makes no reader lose some, and gives them back otherwise: then [`Log::push`] waits.
    pub(super) fn try_push(&self, channel: Channel, bytes: Bytes) -> Result<(), Bytes> {
        let mut state = self.lock();
        if state.readers.needs(state.ring.start_after(bytes.len())) {
            return Err(bytes);
        }
        state.ring.push(channel, bytes);
        self.pulse.mark(state.happening());
        drop(state);
        self.readable.notify_waiters();
        Ok(())
    }

    /// Appends bytes; waits while that would make a reader lose some, within the policy. Cancel-safe: nothing is
    /// appended by a push that did not return.
    pub async fn push(&self, channel: Channel, bytes: Bytes) {
        let mut blocked = None;
        let mut lives = self.lives.clone();
        loop {
            let mut space = pin!(self.space.notified());
            space.as_mut().enable();
            let running = lives.now().phase == Phase::Running;
            let turn = self.lock().turn(bytes.len(), &self.settings, running, &mut blocked);
            if matches!(turn, Turn::Now) && self.try_push(channel, bytes.clone()).is_ok() {
                return;
            }
            tokio::select! {
                () = space => {}
                () = turn.over() => {}
                _ = lives.until(|life| (life.phase == Phase::Running) != running) => {}
            }
        }
    }

    /// Appends bytes without waiting and without loss, beyond the ring's bound if a reader is behind: for the last
    /// words of a program, which the caller bounds.
    pub fn push_last(&self, channel: Channel, bytes: Bytes) {
        let mut state = self.lock();
        let floor = state.ring.start_after(bytes.len());
        if state.readers.needs(floor) {
            state.ring.append(channel, bytes);
        } else {
            state.ring.push(channel, bytes);
        }
        self.pulse.mark(state.happening());
        drop(state);
        self.readable.notify_waiters();
    }

    /// Says that the program ended; what was pushed so far is what it wrote before.
    pub fn finish(&self, exit: Exit) {
        let mut state = self.lock();
        let end = state.ring.end();
        state.end = Some((end, exit));
        self.pulse.mark(state.happening());
        // Whoever comes back to those gets the end, wherever it starts.
        state.readers.free_all_held(end);
        drop(state);
        self.readable.notify_waiters();
    }

    /// Keeps only the newest `limit` bytes as soon as nobody reads.
    pub fn fade(&self, limit: usize) {
        let mut state = self.lock();
        state.fade = Some(limit);
        state.fade_unread();
    }

    /// Says whether somebody reads now.
    pub(super) fn is_followed(&self) -> bool {
        self.lock().readers.is_followed()
    }

    /// Says whether somebody reads, or may come back to.
    pub(super) fn is_wanted(&self) -> bool {
        self.lock().readers.has_any()
    }

    /// Tells how much memory is kept for readers that may come back.
    pub(super) fn owed(&self) -> usize {
        let state = self.lock();
        if state.readers.has_held() { state.ring.held() } else { 0 }
    }

    /// Gives up on readers that may come back.
    pub(super) fn give_up(&self) {
        let mut state = self.lock();
        state.readers.free_all_held(0);
        state.fade_unread();
        drop(state);
        self.space.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    async fn over(self) {
        match self {
            Self::Now => {}
            Self::Until(time) => tokio::time::sleep_until(time).await,
            Self::Still => std::future::pending().await,
        }
    }
}

impl State {
    /// Names what a word of this program is.
    fn happening(&self) -> Happening {
        if self.readers.is_followed() { Happening::Output } else { Happening::BackgroundOutput }
    }

    fn fade_unread(&mut self) {
        if let Some(limit) = self.fade
            && !self.readers.has_any()
        {
            self.ring.set_limit(limit);
        }
    }

    /// Says how long a push of `length` bytes has to wait; cuts off the readers whose time is up. `blocked` keeps
    /// since when it waits.
    fn turn(&mut self, length: usize, settings: &Settings, running: bool, blocked: &mut Option<Instant>) -> Turn {
        let floor = self.ring.start_after(length);
        if !self.readers.needs(floor) {
            return Turn::Now;
        }
        if !running {
            *blocked = None;
            return Turn::Still;
        }
        let since = *blocked.get_or_insert_with(Instant::now);
        let limit = if self.readers.someone_waits(floor) { settings.stall_shared } else { settings.stall_alone };
        let next = self.readers.cut_late(floor, |reader| reader.moved.max(since) + limit);
        self.fade_unread();
        next.map_or(Turn::Now, Turn::Until)
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
        let log = Arc::clone(&self.log);
        loop {
            let mut readable = pin!(log.readable.notified());
            readable.as_mut().enable();
            if let Some(event) = self.take() {
                return event;
            }
            tokio::select! {
                () = readable => {}
                // One that has parted ends in `take`.
                () = self.lives.change() => {}
            }
        }
    }

    fn take(&mut self) -> Option<Event> {
        let life = self.lives.now();
        let mut guard = self.log.lock();
        let State { ring, readers, parting, end, .. } = &mut *guard;
        if parting.0 != life.partings {
            // Before a pause all get as far as the furthest. After one the connections are dead, and nothing more of
            // what goes into them is read.
            let until = if life.phase == Phase::Freezing { readers.furthest() } else { 0 };
            *parting = (life.partings, until);
        }
        let reader = readers.get(self.id)?;
        let cursor = reader.cursor;
        if reader.cut {
            return Some(Event::Lagged(cursor));
        }
        if let Some((last, exit)) = end
            && cursor >= *last
        {
            return Some(Event::End(*exit));
        }
        if life.phase.is_still() && !self.lives.is_parted() {
            // The machine may be stopped and its connections die: what is not told now is told to who comes back.
            return None;
        }
        let left = if self.lives.is_parted() { parting.1.saturating_sub(cursor) } else { u64::MAX };
        if left == 0 {
            if !self.parted {
                readers.hold(self.id);
                self.parted = true;
            }
            return Some(Event::Parted { offset: cursor, generation: life.generation });
        }
        let mut chunk = ring.read(cursor)?;
        chunk.bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let reader = readers.get(self.id)?;
        if chunk.start > cursor {
            reader.cut = true;
            return Some(Event::Lagged(cursor));
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
        if self.parted {
            return;
        }
        // A connection that ends while nothing runs was not given up by its client, as far as anybody here knows.
        let taken_away = self.lives.is_parted() || self.lives.now().phase != Phase::Running;
        let mut state = self.log.lock();
        let last = state.end.map_or(u64::MAX, |(last, _)| last);
        match state.readers.get(self.id) {
            Some(reader) if taken_away && !reader.cut && reader.cursor < last => state.readers.hold(self.id),
            _ => state.readers.remove(self.id),
        }
        state.fade_unread();
        drop(state);
        self.log.space.notify_waiters();
    }
}
