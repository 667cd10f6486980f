//! The watched directories: for each subscription a tree by name, for the kernel one watch a directory.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::Spec;
use super::feed::{Feed, Key};
use super::mailbox::Mailbox;
use crate::identity::User;

/// Device and inode of a directory.
pub(super) type Inode = (u64, u64);

/// Names one directory of one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Seat {
    pub(super) sub: u64,
    pub(super) dir: u64,
}

/// One subscription. Its root has no parent and no name.
#[derive(Debug)]
pub(super) struct Sub {
    pub(super) spec: Spec,
    pub(super) user: User,
    pub(super) mailbox: Arc<Mailbox>,
    /// When it was armed, by the clock of file times: what is older was never to be told.
    pub(super) armed: SystemTime,
    pub(super) root: u64,
    pub(super) dirs: HashMap<u64, Dir>,
}

/// One watched directory of a subscription.
#[derive(Debug)]
pub(super) struct Dir {
    pub(super) key: Key,
    pub(super) inode: Inode,
    pub(super) parent: Option<u64>,
    pub(super) name: OsString,
    pub(super) children: HashMap<OsString, u64>,
    pub(super) doubt: Option<Doubt>,
}

/// Names that reading the directory reported and that may have an event under way, with their inodes.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) until: Instant,
    pub(super) names: HashMap<OsString, u64>,
}

/// One kernel watch, and who looks through it.
#[derive(Debug)]
struct Node {
    inode: Inode,
    seats: Vec<Seat>,
}

/// Keeps both views and the feed in step.
#[derive(Debug)]
pub(super) struct Forest {
    pub(super) feed: Feed,
    pub(super) subs: HashMap<u64, Sub>,
    nodes: HashMap<Key, Node>,
    by_inode: HashMap<Inode, Key>,
    last_dir: u64,
}

impl Sub {
    /// Gives the path of a name in a directory below the root; empty for the root itself.
    pub(super) fn relative(&self, dir: u64, name: Option<&OsStr>) -> PathBuf {
        let mut parts: Vec<&OsStr> = name.into_iter().collect();
        let mut next = self.dirs.get(&dir);
        while let Some(dir) = next {
            if let Some(parent) = dir.parent {
                parts.push(&dir.name);
                next = self.dirs.get(&parent);
            } else {
                break;
            }
        }
        parts.iter().rev().collect()
    }

    /// Gives the absolute path of a name in a directory, below the path that was asked for.
    pub(super) fn absolute(&self, dir: u64, name: Option<&OsStr>) -> PathBuf {
        let relative = self.relative(dir, name);
        let root = self.spec.path.as_path();
        if relative.as_os_str().is_empty() { root.to_owned() } else { root.join(relative) }
    }
}

impl Forest {
    pub(super) fn new(feed: Feed) -> Self {
        Self { feed, subs: HashMap::new(), nodes: HashMap::new(), by_inode: HashMap::new(), last_dir: 0 }
    }

    /// Gives who looks through a watch.
    pub(super) fn seats(&self, key: Key) -> Vec<Seat> {
        self.nodes.get(&key).map(|node| node.seats.clone()).unwrap_or_default()
    }

    /// Gives a directory that is still watched.
    pub(super) fn dir(&mut self, seat: Seat) -> Option<&mut Dir> {
        self.subs.get_mut(&seat.sub)?.dirs.get_mut(&seat.dir)
    }

    /// Watches an open directory for a subscription, as `name` in `parent`; through the watch that it has, if any.
    pub(super) fn attach(
        &mut self,
        sub: u64,
        (parent, name): (Option<u64>, &OsStr),
        (file, inode): (BorrowedFd<'_>, Inode),
    ) -> io::Result<Seat> {
        let key = match self.by_inode.get(&inode) {
            Some(&key) => key,
            None => self.feed.add(file)?,
        };
        self.last_dir += 1;
        let seat = Seat { sub, dir: self.last_dir };
        self.by_inode.insert(inode, key);
        let node = self.nodes.entry(key).or_insert_with(|| Node { inode, seats: Vec::new() });
        node.seats.push(seat);
        if let Some(sub) = self.subs.get_mut(&sub) {
            match parent {
                Some(parent) => {
                    if let Some(parent) = sub.dirs.get_mut(&parent) {
                        parent.children.insert(name.to_owned(), seat.dir);
                    }
                }
                None => sub.root = seat.dir,
            }
            let name = name.to_owned();
            sub.dirs.insert(seat.dir, Dir { key, inode, parent, name, children: HashMap::new(), doubt: None });
        }
        Ok(seat)
    }

    /// Ends watching a directory and all below it for one subscription.
    pub(super) fn detach(&mut self, seat: Seat) {
        let mut doomed = vec![seat.dir];
        if let Some(parent) = self.dir(seat).and_then(|dir| dir.parent) {
            let name = self.dir(seat).map(|dir| dir.name.clone()).unwrap_or_default();
            self.unlink(Seat { dir: parent, ..seat }, &name, seat.dir);
        }
        while let Some(next) = doomed.pop() {
            let Some(dir) = self.subs.get_mut(&seat.sub).and_then(|sub| sub.dirs.remove(&next)) else {
                continue;
            };
            doomed.extend(dir.children.values());
            self.leave(dir.key, Seat { dir: next, ..seat });
        }
    }

    /// Ends a subscription.
    pub(super) fn remove(&mut self, sub: u64) -> Option<Sub> {
        let root = self.subs.get(&sub)?.root;
        self.detach(Seat { sub, dir: root });
        // A directory that is on the move hangs on no root.
        for dir in self.subs.get(&sub).map(|sub| sub.dirs.keys().copied().collect::<Vec<_>>()).unwrap_or_default() {
            self.detach(Seat { sub, dir });
        }
        self.subs.remove(&sub)
    }

    /// Forgets a watch that the kernel ended, and says who looked through it.
    pub(super) fn forget(&mut self, key: Key) -> Vec<Seat> {
        let Some(node) = self.nodes.remove(&key) else {
            return Vec::new();
        };
        self.by_inode.remove(&node.inode);
        node.seats
    }

    /// Takes a directory from its parent without ending it: it is on the move.
    pub(super) fn lift(&mut self, parent: Seat, name: &OsStr) -> Option<Seat> {
        let dir = self.dir(parent)?.children.remove(name)?;
        Some(Seat { dir, ..parent })
    }

    /// Gives a directory on the move its new place; what was watched there is replaced.
    pub(super) fn land(&mut self, parent: Seat, name: &OsStr, moved: Seat) {
        if let Some(replaced) = self.lift(parent, name) {
            self.detach(replaced);
        }
        if let Some(dir) = self.dir(moved) {
            dir.parent = Some(parent.dir);
            dir.name = name.to_owned();
        }
        if let Some(dir) = self.dir(parent) {
            dir.children.insert(name.to_owned(), moved.dir);
        }
    }

    /// Removes a parent's link to a child, unless another has taken the name.
    fn unlink(&mut self, parent: Seat, name: &OsStr, child: u64) {
        if let Some(dir) = self.dir(parent)
            && dir.children.get(name) == Some(&child)
        {
            dir.children.remove(name);
        }
    }

    fn leave(&mut self, key: Key, seat: Seat) {
        let Some(node) = self.nodes.get_mut(&key) else {
            return;
        };
        node.seats.retain(|other| *other != seat);
        if node.seats.is_empty() {
            self.by_inode.remove(&node.inode);
            self.nodes.remove(&key);
            self.feed.remove(key);
        }
    }
}
