//! Freezing filesystems on a thread that may be left behind, thawing them at once.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::libc;

use super::mounts::{self, Device, Mount};
use super::order::inner_first;
use crate::sys::fsfreeze;
use crate::sys::guard::{Guard, Order};

/// Says what became of one filesystem.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which one.
    pub mount: Mount,
    /// Time that the freeze took.
    pub took: Duration,
    /// Frozen, or why not.
    pub result: Result<(), Refusal>,
}

/// Says why a filesystem was not frozen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody else froze it, and will thaw it.
    #[error("frozen by somebody else")]
    Foreign,
    /// Its kind has no freeze.
    #[error("cannot be frozen")]
    Unable,
    /// The kernel's error.
    #[error("{0}")]
    Failed(String),
}

/// Knows the block filesystems of the guest and which of them we froze; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which they are frozen.
    opened: Vec<(Mount, Arc<File>)>,
    /// Indices of `opened` that we froze, in that order.
    frozen: Vec<usize>,
    /// Set when nobody waits for the freeze any more: what its thread freezes after that it thaws itself. Each opening
    /// has its own, so that a thread of an earlier one stays given up.
    abandoned: Arc<AtomicBool>,
    /// Counts openings: one that was overtaken changes nothing.
    openings: u64,
}

impl Disk {
    /// Opens the root of every block filesystem; those that cannot be opened are told.
    ///
    /// May block on a filesystem that is frozen or dead: call it on a thread that can be left behind.
    #[must_use]
    pub fn open(&self) -> Vec<(Mount, io::Error)> {
        let opening = self.begin();
        let mut failed = Vec::new();
        let mut opened = Vec::new();
        for mount in inner_first(mounts::block_mounts(), mounts::below) {
            match mount.open() {
                Ok(file) => opened.push((mount, Arc::new(file))),
                Err(error) => failed.push((mount, error)),
            }
        }
        self.keep_open(opening, opened);
        failed
    }

    /// Opens the filesystem of `/` alone.
    ///
    /// # Errors
    /// The error of the open.
    pub fn open_root(&self) -> io::Result<()> {
        let opening = self.begin();
        let mount = mounts::root();
        let file = Arc::new(mount.open()?);
        self.keep_open(opening, vec![(mount, file)]);
        Ok(())
    }

    /// Writes back what is dirty, one filesystem after the other. Blocks; a second call soon after is short.
    #[must_use]
    pub fn sync(&self) -> Vec<(Mount, io::Error)> {
        self.each(|file| Ok(nix::unistd::syncfs(file)?))
    }

    /// Tells the disks what is free. Blocks.
    #[must_use]
    pub fn trim(&self) -> Vec<(Mount, io::Error)> {
        self.each(|file| match fsfreeze::trim(file.as_fd()) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
            result => result.map(drop),
        })
    }

    /// Freezes all that were opened, in their order, each with an order to the guard first. Blocks: run it on a
    /// thread, and call [`Disk::thaw`] when it is late; what the thread freezes after that it thaws itself.
    #[must_use]
    pub fn freeze(&self, guard: Option<&Guard>) -> Vec<Outcome> {
        let (opened, abandoned) = {
            let state = self.lock();
            (state.opened.clone(), Arc::clone(&state.abandoned))
        };
        let mut outcomes = Vec::new();
        for (index, (mount, file)) in opened.into_iter().enumerate() {
            let began = Instant::now();
            if abandoned.load(Ordering::Acquire) {
                break;
            }
            if let Some(guard) = guard {
                guard.push(Order::Filesystem(file.as_raw_fd()));
            }
            let result = fsfreeze::freeze(file.as_fd()).map_err(|error| refusal(&error));
            match (&result, guard) {
                (Ok(()), _) => self.keep(index, &file, &abandoned),
                (Err(_), Some(guard)) => guard.pop(),
                (Err(_), None) => {}
            }
            outcomes.push(Outcome { mount, took: began.elapsed(), result });
        }
        outcomes
    }

    /// Thaws what we froze, the last one first, and gives up a freeze that is on its way. Short, and never waits.
    /// One that somebody else thawed meanwhile is no error.
    #[must_use]
    pub fn thaw(&self) -> Vec<(Mount, io::Error)> {
        let mut state = self.lock();
        state.abandoned.store(true, Ordering::Release);
        let (mut failed, mut left) = (Vec::new(), Vec::new());
        for index in std::mem::take(&mut state.frozen).into_iter().rev() {
            let Some((mount, file)) = state.opened.get(index) else { continue };
            if let Err(error) = thaw(file) {
                failed.push((mount.clone(), error));
                left.insert(0, index);
            }
        }
        // To be tried again by whoever watches over the freeze.
        state.frozen = left;
        failed
    }

    /// Thaws the filesystem of `/`, whoever froze it, and gives up a freeze of it that is on its way.
    ///
    /// # Errors
    /// The error of the open or of the thaw; that it is not frozen is none.
    pub fn thaw_root(&self) -> io::Result<()> {
        let ours = self.thaw().into_iter().map(|(_, error)| error).next();
        match ours {
            Some(error) => Err(error),
            None => thaw(&mounts::root().open()?),
        }
    }

    /// Closes what was opened, once nothing is frozen and nobody else knows the descriptors.
    pub fn close(&self) {
        self.lock().opened.clear();
    }

    /// Says whether something of ours is frozen.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        !self.lock().frozen.is_empty()
    }

    /// Lists the devices that were opened, in the order of a freeze.
    #[must_use]
    pub fn devices(&self) -> Vec<Device> {
        self.lock().opened.iter().map(|(mount, _)| mount.device).collect()
    }

    /// Thaws what a predecessor left frozen.
    #[must_use]
    pub fn thaw_left(devices: &[Device]) -> Vec<(Mount, io::Error)> {
        let mut failed = Vec::new();
        for mount in mounts::block_mounts().into_iter().filter(|mount| devices.contains(&mount.device)).rev() {
            if let Err(error) = mount.open().and_then(|file| thaw(&file)) {
                failed.push((mount, error));
            }
        }
        failed
    }

    fn begin(&self) -> u64 {
        let mut state = self.lock();
        state.openings += 1;
        state.openings
    }

    fn keep_open(&self, opening: u64, opened: Vec<(Mount, Arc<File>)>) {
        let mut state = self.lock();
        if state.openings == opening && state.frozen.is_empty() {
            state.opened = opened;
            state.abandoned = Arc::default();
        }
    }

    fn keep(&self, index: usize, file: &File, abandoned: &AtomicBool) {
        let mut state = self.lock();
        if abandoned.load(Ordering::Acquire) {
            if let Err(error) = thaw(file) {
                tracing::error!(%error, "cannot thaw a filesystem that was frozen too late");
            }
        } else {
            state.frozen.push(index);
        }
    }

    fn each(&self, work: impl Fn(&File) -> io::Result<()>) -> Vec<(Mount, io::Error)> {
        let opened = self.lock().opened.clone();
        opened.into_iter().filter_map(|(mount, file)| work(&file).err().map(|error| (mount, error))).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn thaw(file: &File) -> io::Result<()> {
    match fsfreeze::thaw(file.as_fd()) {
        // It is not frozen.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        result => result,
    }
}

fn refusal(error: &io::Error) -> Refusal {
    match error.raw_os_error() {
        Some(libc::EBUSY) => Refusal::Foreign,
        Some(libc::EOPNOTSUPP | libc::ENOTTY) => Refusal::Unable,
        _ => Refusal::Failed(error.to_string()),
    }
}
