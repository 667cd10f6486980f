//! The process that lets everything go if we die, and what it must know.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use crate::sys::guard::{Guard, Order};
use crate::workload::Freezer;

/// Holds the process while something is frozen.
#[derive(Debug, Default)]
pub(super) struct Guarded {
    guard: Option<Arc<Guard>>,
    /// For the reseed that comes before everything else is let go.
    random: Option<OwnedFd>,
    /// The cgroups that there are orders about, by inode, with descriptors of their own: those of others may be
    /// closed, and their numbers given to other files, while the orders stand.
    cgroups: HashMap<u64, OwnedFd>,
}

impl Guarded {
    /// Starts the process, if it does not run yet; where it cannot be started the successor has to do.
    pub(super) fn start(&mut self) -> Option<Arc<Guard>> {
        if self.guard.is_none() {
            match Guard::start() {
                Ok(guard) => self.guard = Some(Arc::new(guard)),
                Err(error) => tracing::warn!(%error, "no second process to undo the freeze if the agent dies"),
            }
        }
        self.guard.clone()
    }

    /// Tells the process about cgroups that are frozen or about to be. They are let go last, so this comes first.
    pub(super) fn cgroups(&mut self, freezer: &Freezer) {
        let Some(guard) = &self.guard else { return };
        for file in freezer.thaw_files() {
            let Ok(inode) = nix::sys::stat::fstat(file).map(|stat| stat.st_ino) else { continue };
            if let Entry::Vacant(place) = self.cgroups.entry(inode)
                && let Ok(copy) = crate::sys::fd::duplicate(file)
            {
                if !guard.push(Order::Cgroup(copy.as_raw_fd())) {
                    tracing::debug!("too many cgroups for the second process; the rest is left to a successor");
                    return;
                }
                place.insert(copy);
            }
        }
        if self.random.is_none() {
            self.random = std::fs::File::open("/dev/urandom").ok().map(OwnedFd::from);
        }
        if let Some(random) = &self.random {
            guard.push(Order::Random(random.as_raw_fd()));
        }
    }

    /// Lets the process go; everything is undone.
    pub(super) fn stop(&mut self) {
        // The process first, then what it could use.
        self.guard = None;
        *self = Self::default();
    }
}
