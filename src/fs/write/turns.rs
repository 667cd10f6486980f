//! One writer at a time for each file.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::{Condvar, Mutex, PoisonError};

/// Files that are being overwritten, by device and inode.
static BUSY: Mutex<BTreeSet<(u64, u64)>> = Mutex::new(BTreeSet::new());
/// Told whenever one of them is done.
static DONE: Condvar = Condvar::new();

/// Holds the right to overwrite one file; without it, two uploads to one file would mix their bytes.
///
/// It binds only this process: a lock that guest programs could see, they could also hold against us.
#[derive(Debug)]
pub(super) struct Turn((u64, u64));

impl Turn {
    /// Waits, blocking, until nobody else overwrites the file.
    pub(super) fn take(found: &Metadata) -> Self {
        let file = (found.dev(), found.ino());
        let mut busy = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
        while !busy.insert(file) {
            busy = DONE.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
        Self(file)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        BUSY.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
        DONE.notify_all();
    }
}
