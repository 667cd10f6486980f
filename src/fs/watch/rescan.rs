//! Looking for what lost events would have told.
//!
//! Known is what is there now and when each file came to be and changed. Reported are: files born after the last
//! creation that was told, files written or changed since the present burst of events began, directories that are
//! not where they were watched. Files that are gone, and files that came and went, cannot be known.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::time::{Duration, SystemTime};

use super::forest::Seat;
use super::hub::Hub;
use super::scan::{self, Found, Times};
use super::{Change, WatchError};

/// How many told creations are remembered: more than are made within one tick of the clock that stamps files,
/// because up to there times cannot tell what was told.
const RECENT: usize = 4096;

/// The longest such tick (a kernel with 100 ticks a second).
const TICK: Duration = Duration::from_millis(10);

/// The creations told last.
#[derive(Debug, Default)]
pub(super) struct Recent {
    names: VecDeque<(Seat, OsString, Source)>,
    source: Source,
}

/// Says how a creation was known. Reading a directory while it is filled finds files and misses older ones, so what
/// was found by reading says nothing about the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Source {
    #[default]
    Event,
    Reading,
}

/// What is known to have been told.
struct Known {
    recent: HashSet<(Seat, OsString)>,
    /// Files born before this were told of, or are older than what was lost.
    complete: SystemTime,
}

impl Recent {
    pub(super) fn push(&mut self, seat: Seat, name: &OsStr) {
        if self.names.len() == RECENT {
            self.names.pop_front();
        }
        self.names.push_back((seat, name.to_owned(), self.source));
    }
}

impl Hub {
    /// Reads all watched directories again and reports what changed.
    pub(super) fn rescan(&mut self) {
        let begin = scan::now();
        self.drop_moving();
        let known = self.known();
        self.recent.source = Source::Reading;
        let subs: Vec<u64> = self.forest.subs.keys().copied().collect();
        for sub in subs {
            let scanned = self.rescan_sub(sub, &known);
            self.end_if_failed(sub, scanned);
        }
        self.recent.source = Source::Event;
        self.searched = begin;
    }

    /// Events come in the order of the changes, so what was lost was born after the last creation that was told.
    fn known(&self) -> Known {
        let names = self.recent.names.iter();
        let born = names.clone().filter(|(.., source)| *source == Source::Event).filter_map(|(seat, name, _)| {
            let path = self.forest.subs.get(&seat.sub)?.absolute(seat.dir, Some(name));
            path.symlink_metadata().ok()?.created().ok()
        });
        let complete = born.max().and_then(|born| born.checked_sub(TICK)).unwrap_or(self.burst);
        Known { recent: names.map(|(seat, name, _)| (*seat, name.clone())).collect(), complete }
    }

    fn rescan_sub(&mut self, sub: u64, known: &Known) -> Result<(), WatchError> {
        let Some(root) = self.forest.subs.get(&sub).map(|found| Seat { sub, dir: found.root }) else {
            return Ok(());
        };
        let mut seats = VecDeque::from([root]);
        while let Some(seat) = seats.pop_front() {
            // Those that come to be watched meanwhile are read then.
            let below: Vec<u64> =
                self.forest.dir(seat).map(|dir| dir.children.values().copied().collect()).unwrap_or_default();
            self.rescan_dir(seat, known)?;
            seats.extend(below.into_iter().map(|dir| Seat { sub, dir }));
        }
        Ok(())
    }

    fn rescan_dir(&mut self, seat: Seat, known: &Known) -> Result<(), WatchError> {
        let Some(sub) = self.forest.subs.get(&seat.sub) else {
            return Ok(());
        };
        let Some(dir) = sub.dirs.get(&seat.dir) else {
            return Ok(());
        };
        let (path, follow, recursive) = (sub.absolute(seat.dir, None), dir.parent.is_none(), sub.spec.recursive);
        let opened = self.files.here(&sub.user, || scan::open(&path, follow)).ok().and_then(Result::ok);
        let Some((open, _)) = opened.filter(|(_, inode)| *inode == dir.inode) else {
            // It went after its parent was read; the event that says so may be among the lost ones.
            let place = dir.parent.map(|parent| (Seat { dir: parent, ..seat }, dir.name.clone()));
            if let Some((parent, name)) = place {
                self.emit(parent, Some(&name), Change::Remove);
            }
            self.died(seat);
            return Ok(());
        };
        let watched: HashMap<OsString, u64> = dir.children.clone();
        let found = scan::read(&open, true).unwrap_or_default();
        for (name, &child) in &watched {
            if found.binary_search_by(|found| found.name.cmp(name)).is_err() {
                self.emit(seat, Some(name), Change::Remove);
                self.forest.detach(Seat { dir: child, ..seat });
            }
        }
        let (mut told, mut new) = (HashMap::new(), VecDeque::new());
        for found in found {
            let unwatched = recursive && found.is_dir && !watched.contains_key(&found.name);
            let change = if unwatched { Some(Change::Create) } else { self.missed(seat, &found, known) };
            let Some(change) = change else {
                continue;
            };
            self.emit(seat, Some(&found.name), change);
            if let (Change::Create, Some(times)) = (change, found.times) {
                told.insert(found.name.clone(), times.inode);
            }
            if unwatched {
                new.push_back((seat, found.name));
            }
        }
        self.doubt(seat, told);
        self.adopt(new, true)
    }

    /// Says what lost events would have told of a file, as far as its times tell.
    fn missed(&self, seat: Seat, found: &Found, known: &Known) -> Option<Change> {
        let Times { born, changed, written, .. } = found.times?;
        let armed = self.forest.subs.get(&seat.sub).map_or(self.burst, |sub| sub.armed);
        let searched = self.searched.max(armed);
        let begin = self.burst.max(searched);
        let new = born.is_some_and(|born| born >= known.complete.max(searched));
        if new && !known.recent.contains(&(seat, found.name.clone())) {
            return Some(Change::Create);
        }
        match (written >= begin, changed >= begin) {
            // A directory is written by changing its names, which is told of those.
            (true, _) if found.is_dir => None,
            (true, _) => Some(Change::Write),
            (false, true) => Some(Change::Chmod),
            (false, false) => None,
        }
    }
}
