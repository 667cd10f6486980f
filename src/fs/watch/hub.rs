//! Turns raw events into told ones: one thread that owns all watches.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, poll};

use super::adopt::refused;
use super::feed::{Op, Raw};
use super::forest::{Forest, Seat, Sub};
use super::inbox::{Command, Inbox, Subscribe};
use super::rescan::Recent;
use super::ripple::Ripple;
use super::{Change, WatchError, scan};
use crate::fs::{Files, FsError};
use crate::identity::accounts::Table;

/// A pause this long begins a new burst: what was lost cannot be older than the burst that it was lost in.
const PAUSE: Duration = Duration::from_millis(50);

/// How late a loaded machine may hand us an event, at most.
const LAG: Duration = Duration::from_secs(1);

/// Events told between two looks at the kernel's queue, so that it does not overflow while others are told.
const TOLD: usize = 256;
/// And such looks between two looks at commands.
const ROUNDS: usize = 64;

/// The state of all watches; lives on its own thread.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) files: Files,
    inbox: Arc<Inbox>,
    pub(super) forest: Forest,
    ripple: Ripple,
    /// Directories that left one name and have not arrived under another, with the number of their move.
    moving: Vec<(u32, Seat)>,
    pub(super) recent: Recent,
    /// When the present burst of events began at the earliest, by the clock of file times.
    pub(super) burst: SystemTime,
    /// When all was last read again; what is older has been told.
    pub(super) searched: SystemTime,
    /// Subscriptions that are to end, with the reason for those that do not know.
    pub(super) ending: Vec<(u64, Option<WatchError>)>,
    /// Names of owners, looked up once a batch.
    pub(super) table: Option<Arc<Table>>,
}

impl Hub {
    pub(super) fn new(files: Files, inbox: Arc<Inbox>, forest: Forest, ripple: Ripple) -> Self {
        Self {
            files,
            inbox,
            forest,
            ripple,
            moving: Vec::new(),
            recent: Recent::default(),
            burst: scan::now(),
            searched: SystemTime::UNIX_EPOCH,
            ending: Vec::new(),
            table: None,
        }
    }

    /// Works until told to stop.
    pub(super) fn run(mut self) {
        loop {
            let (quiet, slept) = (scan::now(), Instant::now());
            self.sleep();
            if slept.elapsed() >= PAUSE {
                self.burst = quiet - LAG;
            }
            // Those that came before the events are read: what a command begins is behind all that was before it.
            let commands = self.inbox.take();
            self.tell_all();
            for command in commands {
                match command {
                    Command::Subscribe(subscribe) => self.subscribe(*subscribe),
                    Command::Unsubscribe(sub) => drop(self.forest.remove(sub)),
                    Command::Settle(waiter) => self.ripple.wait(waiter),
                    Command::Stop => return,
                }
            }
            self.finish_batch();
        }
    }

    /// Waits for events or commands.
    fn sleep(&self) {
        if self.forest.feed.has_more() {
            return;
        }
        let feed = PollFd::from_borrowed_fd(self.forest.feed.fd(), PollFlags::IN);
        let bell = PollFd::from_borrowed_fd(self.inbox.bell(), PollFlags::IN);
        // It fails for a signal only, and then there is nothing to be read.
        let _ = poll(&mut [feed, bell], None);
    }

    /// Tells what the kernel has, until it has nothing more; at most for so long that commands do not wait for ever.
    fn tell_all(&mut self) {
        for _ in 0..ROUNDS {
            self.forest.feed.read();
            #[cfg(test)]
            if self.inbox.is_deaf() {
                self.forest.feed.lose();
            }
            for told in 0..TOLD {
                match self.forest.feed.next() {
                    Some(Some(raw)) => self.tell(&raw),
                    Some(None) => self.find_lost(),
                    None if told == 0 => return,
                    None => break,
                }
            }
        }
    }

    fn find_lost(&mut self) {
        tracing::warn!("file events were lost, looking for what changed");
        self.rescan();
        // The barrier's event may be lost too.
        self.ripple.arrived();
    }

    fn finish_batch(&mut self) {
        self.table = None;
        for (sub, error) in std::mem::take(&mut self.ending) {
            if let (Some(sub), Some(error)) = (self.forest.remove(sub), error) {
                sub.mailbox.end(error);
            }
        }
    }

    fn subscribe(&mut self, Subscribe { id, spec, user, mailbox, reply }: Subscribe) {
        let opened = self.files.here(&user, || scan::open(spec.path.as_path(), true));
        let opened = opened.and_then(|opened| opened.map_err(FsError::io("watch", spec.path.as_path())));
        let result = opened.map_err(WatchError::from).and_then(|(dir, inode)| {
            let recursive = spec.recursive;
            let sub = Sub { spec, user, mailbox, armed: scan::now(), root: 0, dirs: HashMap::new() };
            self.forest.subs.insert(id, sub);
            let opened = (dir.as_fd(), inode);
            let root = self.forest.attach(id, (None, OsStr::new("")), opened).map_err(refused)?;
            if recursive { self.descend(root, &dir) } else { Ok(()) }
        });
        if result.is_err() {
            self.forest.remove(id);
        }
        // Nobody waits any more: then an order to unsubscribe follows.
        let _ = reply.send(result);
    }

    fn tell(&mut self, raw: &Raw) {
        if self.ripple.is(raw.key) {
            if raw.op == Op::Write {
                self.ripple.arrived();
            }
            return;
        }
        match &raw.name {
            None if raw.op == Op::Delete => {
                for seat in self.forest.forget(raw.key) {
                    self.died(seat);
                }
            }
            None => self.forest.seats(raw.key).into_iter().for_each(|seat| self.itself(seat, raw.op)),
            Some(name) => self.forest.seats(raw.key).into_iter().for_each(|seat| self.child(seat, name, raw.op)),
        }
    }

    /// Something happened to a name in a watched directory.
    fn child(&mut self, seat: Seat, name: &OsStr, op: Op) {
        match op {
            Op::Create => self.appeared(seat, name, None),
            Op::MovedTo(cookie) => self.appeared(seat, name, cookie),
            Op::MovedFrom(cookie) => {
                self.settle_doubt(seat, name);
                self.emit(seat, Some(name), Change::Rename);
                if let Some(moved) = self.forest.lift(seat, name) {
                    self.moving.push((cookie.unwrap_or_default(), moved));
                }
            }
            Op::Delete => {
                self.settle_doubt(seat, name);
                self.emit(seat, Some(name), Change::Remove);
                if let Some(gone) = self.forest.lift(seat, name) {
                    self.forest.detach(gone);
                }
            }
            Op::Write | Op::Attrib if self.nameless(seat, name) => {}
            Op::Write => self.emit(seat, Some(name), Change::Write),
            Op::Attrib => self.emit(seat, Some(name), Change::Chmod),
        }
    }

    fn appeared(&mut self, seat: Seat, name: &OsStr, cookie: Option<u32>) {
        if !self.was_reported(seat, name) {
            self.emit(seat, Some(name), Change::Create);
        }
        let here = |(number, moved): &(u32, Seat)| Some(*number) == cookie && moved.sub == seat.sub;
        if let Some(index) = self.moving.iter().position(here) {
            let (_, moved) = self.moving.swap_remove(index);
            self.forest.land(seat, name, moved);
        } else if self.forest.subs.get(&seat.sub).is_some_and(|sub| sub.spec.recursive) {
            let adopted = self.adopt(VecDeque::from([(seat, name.to_owned())]), true);
            self.end_if_failed(seat.sub, adopted);
        }
    }

    /// Something happened to a watched directory itself. Below a root, its parent's events tell the same.
    fn itself(&mut self, seat: Seat, op: Op) {
        let is_root = self.forest.subs.get(&seat.sub).is_some_and(|sub| sub.root == seat.dir);
        match op {
            Op::Attrib if is_root => self.emit(seat, None, Change::Chmod),
            Op::MovedFrom(_) if is_root => self.emit(seat, None, Change::Rename),
            // The kernel tells a directory of its own move after both its parents: it did not arrive here.
            Op::MovedFrom(_) => {
                if let Some(index) = self.moving.iter().position(|(_, moved)| *moved == seat) {
                    self.moving.swap_remove(index);
                    self.forest.detach(seat);
                }
            }
            _ => {}
        }
    }

    /// A watched directory is gone for good. If it has its place still, another has come, perhaps with its inode.
    pub(super) fn died(&mut self, seat: Seat) {
        let Some(sub) = self.forest.subs.get(&seat.sub) else {
            return;
        };
        let Some(dir) = sub.dirs.get(&seat.dir) else {
            return;
        };
        if sub.root == seat.dir {
            self.emit(seat, None, Change::Remove);
            self.forest.detach(seat);
            return;
        }
        let parent = Seat { dir: dir.parent.unwrap_or_default(), ..seat };
        let name = dir.name.clone();
        self.moving.retain(|(_, moved)| *moved != seat);
        self.forest.detach(seat);
        let adopted = self.adopt(VecDeque::from([(parent, name)]), true);
        self.end_if_failed(seat.sub, adopted);
    }

    pub(super) fn end_if_failed(&mut self, sub: u64, result: Result<(), WatchError>) {
        if let Err(error) = result {
            self.ending.push((sub, Some(error)));
        }
    }

    /// Ends watching what was moving when events were lost; reading finds it where it is now.
    pub(super) fn drop_moving(&mut self) {
        for (_, seat) in std::mem::take(&mut self.moving) {
            self.forest.detach(seat);
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.inbox.close();
        for sub in self.forest.subs.values() {
            sub.mailbox.end(WatchError::Stopped);
        }
    }
}
