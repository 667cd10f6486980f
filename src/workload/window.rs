//! One freeze, from its first write to a clean thaw.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::MAX_CGROUPS;
use super::cgroup::{self, Walk};
use super::freeze::{Counts, Mode, ThawOutcome};
use super::record::Record;
use super::sweep::{Place, Plan};

/// Cgroups whose files stay open while frozen, so that a thaw opens nothing; more are opened when they are thawed.
const KEPT_OPEN: usize = 1024;
/// Cgroups between two looks at whether the freeze was given up: about 2 ms.
const STRIDE: usize = 64;

/// Holds a cgroup that we tell to freeze and to go on.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) path: PathBuf,
    pub(super) freeze: Option<File>,
}

impl Held {
    /// Opens its file; where that fails it is tried again at each use.
    pub(super) fn open(path: PathBuf) -> Self {
        let freeze = cgroup::open_freeze(&path).ok();
        Self { path, freeze }
    }

    /// Whether it was told to freeze; no when it cannot be asked.
    pub(super) fn requested(&self) -> bool {
        self.freeze.as_ref().is_some_and(|file| cgroup::requested(file).unwrap_or(false))
    }

    /// Tells it to freeze or to go on; opens it anew when it was removed and made again.
    pub(super) fn tell(&mut self, frozen: bool) -> io::Result<()> {
        match self.freeze.as_ref().map(|file| cgroup::request(file, frozen)) {
            Some(Err(error)) if cgroup::vanished(&error) => {}
            Some(result) => return result,
            None => {}
        }
        let file = self.freeze.insert(cgroup::open_freeze(&self.path)?);
        cgroup::request(file, frozen)
    }

    /// Tells it to go on, and not another one that was made under its name since.
    fn release(&self) -> io::Result<()> {
        match &self.freeze {
            Some(file) => cgroup::request(file, false),
            None => cgroup::request(&cgroup::open_freeze(&self.path)?, false),
        }
    }
}

/// Remembers what is ours and what was the guest's.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The widest that was asked for.
    pub(super) mode: Mode,
    /// Frozen by the guest itself.
    guest: BTreeSet<PathBuf>,
    /// Told by us, but for `user` and `ptys`. One is in here before it is told, so that a thaw misses none.
    swept: BTreeMap<PathBuf, Held>,
    /// Begun by an agent that died: what it told is not known.
    pub(super) inherited: bool,
    /// The plan and the bound of our own hierarchy sweep.
    pub(super) sweep: Option<(Plan, usize)>,
}

impl Window {
    /// Begins a freeze that an agent before us made.
    pub(super) fn inherit(root: &Path, record: Record) -> Self {
        let guest = record.guest.into_iter().map(|path| root.join(path)).collect();
        Self { mode: record.mode, guest, inherited: true, ..Self::default() }
    }

    /// Begins our own: finds what the guest froze. What a resume waits for, and what is above it, is never the
    /// guest's: found frozen, it is better let go.
    pub(super) async fn begin(root: &Path, mode: Mode, plan: Option<&Plan>) -> Self {
        let mut guest = BTreeSet::new();
        for (index, cgroup) in Walk::new(root, MAX_CGROUPS).enumerate() {
            if index % STRIDE == STRIDE - 1 {
                tokio::task::yield_now().await;
            }
            let ours = plan.is_some_and(|plan| matches!(plan.place(&cgroup), Place::Through | Place::Spared));
            if !ours && Held::open(cgroup.clone()).requested() {
                guest.insert(cgroup);
            }
        }
        Self { mode, guest, ..Self::default() }
    }

    /// Counts what was left to the guest.
    pub(super) fn guests(&self) -> usize {
        self.guest.len()
    }

    pub(super) fn record(&self, root: &Path) -> Record {
        let relative = |path: &PathBuf| path.strip_prefix(root).unwrap_or(path).to_owned();
        Record { mode: self.mode, guest: self.guest.iter().map(relative).collect() }
    }

    /// Freezes all targets of a plan in the order of the walk; gives those that were told to `told`.
    pub(super) async fn sweep(&mut self, plan: &Plan, bound: usize, counts: &mut Counts, told: &mut Vec<PathBuf>) {
        self.sweep = Some((plan.clone(), bound));
        for parent in plan.through() {
            for cgroup in cgroup::children(parent) {
                let place = plan.place(&cgroup);
                if matches!(place, Place::Through | Place::Fixed) {
                    continue;
                }
                if counts.visited >= bound {
                    counts.truncated = true;
                    return;
                }
                counts.visited += 1;
                if counts.visited.is_multiple_of(STRIDE) {
                    tokio::task::yield_now().await;
                }
                match place {
                    Place::Spared => counts.allowlisted += 1,
                    _ => self.stop(cgroup, counts, told),
                }
            }
        }
    }

    fn stop(&mut self, cgroup: PathBuf, counts: &mut Counts, told: &mut Vec<PathBuf>) {
        if self.guest.contains(&cgroup) {
            return;
        }
        let fresh = !self.swept.contains_key(&cgroup);
        if fresh {
            let held = Held::open(cgroup.clone());
            if !self.inherited && held.requested() {
                // The guest was faster, since we looked.
                self.guest.insert(cgroup);
                return;
            }
            self.swept.insert(cgroup.clone(), held);
        }
        let many = self.swept.len() > KEPT_OPEN;
        let Some(held) = self.swept.get_mut(&cgroup) else { return };
        let crowded = held.freeze.is_none() || (fresh && many);
        let result = held.tell(true);
        if crowded {
            held.freeze = None;
        }
        match result {
            Ok(()) => {
                counts.requested += 1;
                told.push(cgroup);
            }
            Err(error) => {
                self.swept.remove(&cgroup);
                counts.failed += usize::from(!cgroup::vanished(&error));
            }
        }
    }

    /// Lets go everything that the sweep told, and keeps what could not be told for the next time.
    pub(super) fn release(&mut self, outcome: &mut ThawOutcome) {
        self.swept.retain(|_, held| !tally(held.release(), outcome));
    }

    /// Lets go every cgroup that was told to freeze, but for the guest's: for a freeze that somebody else made.
    pub(super) fn release_tree(&self, root: &Path, outcome: &mut ThawOutcome) {
        let mut walk = Walk::new(root, MAX_CGROUPS);
        for cgroup in walk.by_ref() {
            if !self.guest.contains(&cgroup) {
                let held = Held::open(cgroup);
                if held.requested() {
                    tally(held.release(), outcome);
                }
            }
        }
        outcome.truncated = walk.truncated();
    }

    /// Lists what the sweep told.
    pub(super) fn swept(&self) -> impl Iterator<Item = &Held> {
        self.swept.values()
    }
}

/// Counts the result of letting one go; says whether that is done with.
pub(super) fn tally(result: io::Result<()>, outcome: &mut ThawOutcome) -> bool {
    match result {
        Ok(()) => outcome.cleared += 1,
        Err(error) if cgroup::vanished(&error) => {}
        Err(error) => {
            tracing::error!(%error, "a cgroup cannot be thawed");
            outcome.failed += 1;
            return false;
        }
    }
    true
}
