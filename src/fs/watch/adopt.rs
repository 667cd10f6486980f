//! Watching directories as they come, and telling what they came with.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use super::forest::{Doubt, Seat};
use super::hub::Hub;
use super::{Change, WatchError, scan};

/// How long the next creation event of a name that was reported by reading is taken for the same creation. Events
/// are worked off within milliseconds; the bound only frees memory, and a late event is told twice, never lost.
const DOUBT: Duration = Duration::from_secs(2);

impl Hub {
    /// Watches what is below a new root, quietly.
    pub(super) fn descend(&mut self, root: Seat, dir: &OwnedFd) -> Result<(), WatchError> {
        let found = scan::read(dir, false).unwrap_or_default();
        let below = found.into_iter().filter(|found| found.is_dir).map(|found| (root, found.name));
        self.adopt(below.collect(), false)
    }

    /// Watches directories by name, each with all below it; with `report` their content is told as created.
    pub(super) fn adopt(&mut self, mut names: VecDeque<(Seat, OsString)>, report: bool) -> Result<(), WatchError> {
        while let Some((parent, name)) = names.pop_front() {
            let since = scan::now();
            let Some((seat, dir)) = self.adopt_one(parent, &name)? else {
                continue;
            };
            let mut doubt = HashMap::new();
            for found in scan::read(&dir, report).unwrap_or_default() {
                if report {
                    self.emit(seat, Some(&found.name), Change::Create);
                    if let Some(times) = found.times.filter(|times| times.changed >= since) {
                        doubt.insert(found.name.clone(), times.inode);
                    }
                }
                if found.is_dir {
                    names.push_back((seat, found.name));
                }
            }
            self.doubt(seat, doubt);
        }
        Ok(())
    }

    /// Watches one directory by name; nothing if it vanished, is none, is foreign, or is watched there already.
    fn adopt_one(&mut self, parent: Seat, name: &OsStr) -> Result<Option<(Seat, OwnedFd)>, WatchError> {
        let Some(sub) = self.forest.subs.get(&parent.sub) else {
            return Ok(None);
        };
        let Some(above) = sub.dirs.get(&parent.dir) else {
            return Ok(None);
        };
        let path = sub.absolute(parent.dir, Some(name));
        let Ok(Ok((dir, inode))) = self.files.here(&sub.user, || scan::open(&path, false)) else {
            return Ok(None);
        };
        if inode.0 != above.inode.0 && scan::foreign(&dir, sub.spec.allow_network_mounts) {
            return Ok(None);
        }
        if let Some(&child) = above.children.get(name) {
            if sub.dirs.get(&child).is_some_and(|child| child.inode == inode) {
                return Ok(None);
            }
            self.forest.detach(Seat { dir: child, ..parent });
        }
        let opened = (dir.as_fd(), inode);
        let seat = self.forest.attach(parent.sub, (Some(parent.dir), name), opened).map_err(refused)?;
        Ok(Some((seat, dir)))
    }

    /// Notes names that were told by reading and may be told again by an event.
    pub(super) fn doubt(&mut self, seat: Seat, names: HashMap<OsString, u64>) {
        if let Some(dir) = self.forest.dir(seat)
            && !names.is_empty()
        {
            let until = Instant::now() + DOUBT;
            match &mut dir.doubt {
                Some(doubt) => {
                    doubt.until = until;
                    doubt.names.extend(names);
                }
                None => dir.doubt = Some(Doubt { until, names }),
            }
        }
    }

    /// Says whether a creation was told already by reading; asks once a name.
    pub(super) fn was_reported(&mut self, seat: Seat, name: &OsStr) -> bool {
        let Some(inode) = self.settle_doubt(seat, name) else {
            return false;
        };
        let Some(sub) = self.forest.subs.get(&seat.sub) else {
            return false;
        };
        let path = sub.absolute(seat.dir, Some(name));
        self.look(sub, &path).is_ok_and(|found| found.ino() == inode)
    }

    pub(super) fn settle_doubt(&mut self, seat: Seat, name: &OsStr) -> Option<u64> {
        let dir = self.forest.dir(seat)?;
        let doubt = dir.doubt.as_mut()?;
        let inode = doubt.names.remove(name);
        let (over, told) = (doubt.names.is_empty() || doubt.until < Instant::now(), doubt.until >= Instant::now());
        if over {
            dir.doubt = None;
        }
        inode.filter(|_| told)
    }
}

/// Sorts why the kernel does not watch a directory.
pub(super) fn refused(error: io::Error) -> WatchError {
    match error.kind() {
        io::ErrorKind::StorageFull => WatchError::Limit,
        _ => WatchError::System("watch a directory", error),
    }
}
