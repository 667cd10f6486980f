//! The kernel's watches, and reading what they tell (inotify(7)).
//!
//! One read gives hundreds of events, and only those kinds are asked for that are told. notify, which stood here
//! before, asks for opened and closed files too, three events for each file made, and hands them over one by one from
//! a thread of its own, which is one more change of threads before anybody is told.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::inotify::{self, CreateFlags, Event, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// Names one kernel watch. The kernel counts up and gives no number twice (idr_alloc_cyclic).
pub(super) type Key = i32;

/// Most events that wait here: four times the kernel's own default queue (fs.inotify.max_queued_events, 16,384), about
/// 4 MiB. Beyond, they stay in the kernel's queue until that overflows.
const MOST: usize = 65_536;

/// Bytes read at a time: a hundred events or more.
const BUFFER: usize = 8 << 10;

/// What the kernel says about a watched directory, or about a name in it.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) key: Key,
    /// Absent for the directory itself.
    pub(super) name: Option<OsString>,
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
    MovedFrom(Option<u32>),
    MovedTo(Option<u32>),
}

/// Owns the kernel's watches, and the events that were read.
#[derive(Debug)]
pub(super) struct Feed {
    inotify: OwnedFd,
    buffer: Vec<MaybeUninit<u8>>,
    /// In the order of the changes, with nothing in the place of those that were lost.
    waiting: VecDeque<Option<Raw>>,
}

impl Feed {
    /// Opens the kernel's queue.
    ///
    /// # Errors
    /// EMFILE: fs.inotify.max_user_instances.
    pub(super) fn start() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { inotify, buffer: vec![MaybeUninit::uninit(); BUFFER], waiting: VecDeque::new() })
    }

    /// Lends what is readable when events are there.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Watches the open file; the descriptor may be closed afterwards.
    ///
    /// # Errors
    /// ENOSPC: fs.inotify.max_user_watches.
    pub(super) fn add(&mut self, file: BorrowedFd<'_>) -> io::Result<Key> {
        let told = WatchFlags::CREATE
            | WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVE_SELF
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF;
        Ok(inotify::add_watch(&self.inotify, format!("/proc/self/fd/{}", file.as_raw_fd()), told)?)
    }

    /// Ends a watch; one that the kernel ended before is fine.
    pub(super) fn remove(&mut self, key: Key) {
        let _ = inotify::remove_watch(&self.inotify, key);
    }

    /// Reads what the kernel has, as far as there is room.
    pub(super) fn read(&mut self) {
        let mut reader = Reader::new(&self.inotify, &mut self.buffer);
        while self.waiting.len() < MOST {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => lose(&mut self.waiting),
                Ok(event) => self.waiting.extend(raw(&event).map(Some)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(error) => {
                    tracing::warn!(%error, "cannot read file events");
                    return lose(&mut self.waiting);
                }
            }
        }
    }

    /// Says whether events wait here that the kernel no longer knows of.
    pub(super) fn has_more(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Gives the next event; the inner nothing stands for events that were lost.
    pub(super) fn next(&mut self) -> Option<Option<Raw>> {
        self.waiting.pop_front()
    }

    /// Loses everything that waits.
    #[cfg(test)]
    pub(super) fn lose(&mut self) {
        if !self.waiting.is_empty() {
            self.waiting.clear();
            lose(&mut self.waiting);
        }
    }
}

fn lose(waiting: &mut VecDeque<Option<Raw>>) {
    if !matches!(waiting.back(), Some(None)) {
        waiting.push_back(None);
    }
}

fn raw(event: &Event<'_>) -> Option<Raw> {
    let (kind, cookie) = (event.events(), Some(event.cookie()));
    let op = match kind {
        _ if kind.contains(ReadFlags::CREATE) => Op::Create,
        _ if kind.contains(ReadFlags::MODIFY) => Op::Write,
        _ if kind.contains(ReadFlags::ATTRIB) => Op::Attrib,
        _ if kind.contains(ReadFlags::MOVED_FROM) => Op::MovedFrom(cookie),
        _ if kind.contains(ReadFlags::MOVED_TO) => Op::MovedTo(cookie),
        _ if kind.contains(ReadFlags::MOVE_SELF) => Op::MovedFrom(None),
        // With its filesystem a directory goes too.
        _ if kind.intersects(ReadFlags::DELETE | ReadFlags::DELETE_SELF | ReadFlags::UNMOUNT) => Op::Delete,
        // The end of a watch that we ended, or of which DELETE_SELF or UNMOUNT told.
        _ => return None,
    };
    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
    Some(Raw { key: event.wd(), name, op })
}
