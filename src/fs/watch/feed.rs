//! The kernel's watches, through notify.
//!
//! notify keys a watch by the path it was added with: when an event's path equals such a key and says moved or
//! removed, it drops the watch and those below, even if the directory lives on under another name or a new one has
//! taken the old name. It also joins paths by text, so renamed directories would report under old names. Therefore
//! each watch is added with a path of its own that leads to the directory through a descriptor and that no event
//! can have: a number written as a walk (`/..` stays at the root, `/proc/..` comes back to it), then
//! `/proc/self/fd/N`. The number is never used again, so a path names one watch for good, whatever the directory is
//! called; and since the descriptor pins the directory while it is added, there is no race with who moves it.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{ModifyKind, RenameMode};
use notify::{EventHandler, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::inbox::{Inbox, Op, Raw};

/// Names one kernel watch: the path that notify knows it by.
pub(super) type Key = Arc<Path>;

/// Owns notify's watcher and thread.
#[derive(Debug)]
pub(super) struct Feed {
    watcher: RecommendedWatcher,
    next: u64,
}

impl Feed {
    /// Starts notify with its events going to the inbox.
    pub(super) fn start(inbox: Arc<Inbox>) -> notify::Result<Self> {
        let watcher = RecommendedWatcher::new(Handler(inbox), notify::Config::default())?;
        Ok(Self { watcher, next: 0 })
    }

    /// Watches the open file; the descriptor may be closed afterwards.
    pub(super) fn add(&mut self, file: BorrowedFd<'_>) -> notify::Result<Key> {
        self.next += 1;
        let path = path(self.next, file);
        self.watcher.watch(&path, RecursiveMode::NonRecursive)?;
        Ok(path.into())
    }

    /// Ends a watch; one that the kernel ended before is fine.
    pub(super) fn remove(&mut self, key: &Path) {
        let _ = self.watcher.unwatch(key);
    }
}

fn path(number: u64, file: BorrowedFd<'_>) -> PathBuf {
    let mut path = String::new();
    for bit in (0..u64::BITS - number.leading_zeros()).rev() {
        path.push_str(if number >> bit & 1 == 1 { "/proc/.." } else { "/.." });
    }
    path.push_str("/proc/self/fd/");
    path.push_str(&file.as_raw_fd().to_string());
    path.into()
}

struct Handler(Arc<Inbox>);

impl EventHandler for Handler {
    fn handle_event(&mut self, event: notify::Result<notify::Event>) {
        // The kernel's queue overflowed, or reading it failed: either way events are missing.
        let Ok(event) = event else {
            return self.0.lost();
        };
        if event.need_rescan() {
            return self.0.lost();
        }
        let Some(op) = op(&event) else {
            return;
        };
        if let Some(path) = event.paths.into_iter().next() {
            self.0.raw(Raw { path, op });
        }
    }
}

fn op(event: &notify::Event) -> Option<Op> {
    match event.kind {
        EventKind::Create(_) => Some(Op::Create),
        EventKind::Remove(_) => Some(Op::Delete),
        EventKind::Modify(ModifyKind::Data(_)) => Some(Op::Write),
        EventKind::Modify(ModifyKind::Metadata(_)) => Some(Op::Attrib),
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) => Some(Op::MovedFrom(event.tracker())),
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Some(Op::MovedTo(event.tracker())),
        // Opened and closed, which nobody asked for; and `Both`, which repeats `From` and `To`.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn every_path_of_the_feed_leads_to_its_directory_and_none_is_part_of_another() {
        let dir = std::fs::File::open("/tmp").unwrap();
        let paths: Vec<_> = (1..300).chain([1 << 40]).map(|number| path(number, dir.as_fd())).collect();
        for path in &paths {
            assert!(std::fs::metadata(path).unwrap().is_dir());
        }
        assert_eq!(paths.iter().collect::<HashSet<_>>().len(), paths.len());
        let inside = |one: &PathBuf| paths.iter().filter(|other| other.starts_with(one)).count();
        assert!(paths.iter().all(|one| inside(one) == 1));
    }
}
