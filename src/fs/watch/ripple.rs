//! A barrier in the stream of events.
//!
//! A watched file of our own, in memory and without a name, is written to; inotify queues events in order, so when
//! that write is told, everything that was queued before it has been.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};
use tokio::sync::oneshot;

use super::feed::{Feed, Key};

/// Answers who waits when the events before their question are worked off.
#[derive(Debug)]
pub(super) struct Ripple {
    file: File,
    key: Key,
    /// Those whose write is under way.
    current: Vec<oneshot::Sender<()>>,
    /// Those who came meanwhile: equal events at the end of the kernel's queue become one, so a second write now
    /// could be told with the first.
    next: Vec<oneshot::Sender<()>>,
}

impl Ripple {
    /// Makes the file and watches it.
    pub(super) fn new(feed: &mut Feed) -> io::Result<Self> {
        let file = open()?;
        let key = feed.add(file.as_fd())?;
        Ok(Self { file, key, current: Vec::new(), next: Vec::new() })
    }

    /// Says whether an event is the barrier's.
    pub(super) fn is(&self, key: Key) -> bool {
        self.key == key
    }

    /// Answers `waiter` when all that is queued now is worked off.
    pub(super) fn wait(&mut self, waiter: oneshot::Sender<()>) {
        if self.current.is_empty() {
            self.current.push(waiter);
            self.write();
        } else {
            self.next.push(waiter);
        }
    }

    /// Takes note that the write was told.
    pub(super) fn arrived(&mut self) {
        for waiter in std::mem::take(&mut self.current) {
            let _ = waiter.send(());
        }
        self.current = std::mem::take(&mut self.next);
        if !self.current.is_empty() {
            self.write();
        }
    }

    fn write(&mut self) {
        // Without the write nobody is answered, and waiters give up by themselves.
        if let Err(error) = self.file.write_all_at(b".", 0) {
            tracing::warn!(error = %error, "barrier of the watches is out of order");
        }
    }
}

/// Opens a memory file by a path: the descriptor that makes it raises no events (Linux 6.14).
fn open() -> io::Result<File> {
    let made = memfd_create("watch-barrier", MemfdFlags::CLOEXEC)?;
    OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", made.as_raw_fd()))
}
