//! What is asked of a watch, and what it tells.

use crate::fs::Entry;
use crate::identity::ResolvedPath;

/// Says what happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It came to be, or was moved here.
    Create,
    /// Its content changed.
    Write,
    /// It was removed.
    Remove,
    /// It was moved away; this is its old name.
    Rename,
    /// Its mode, owner, times or attributes changed.
    Chmod,
}

/// Tells one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Path below the watched directory; `.` is that directory itself.
    pub name: String,
    /// What happened.
    pub change: Change,
    /// The file as it is now, where that was asked for and can be known.
    pub entry: Option<Box<Entry>>,
}

/// Says what to watch and how.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The directory; links are followed.
    pub path: ResolvedPath,
    /// Whether directories below are watched too, also those that are still to come.
    pub recursive: bool,
    /// Whether events describe the file.
    pub include_entry: bool,
    /// Whether network filesystems may be watched, although changes by other machines raise no events.
    pub allow_network_mounts: bool,
}
