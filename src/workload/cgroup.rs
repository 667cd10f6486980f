//! The freezer files of one cgroup (cgroup-v2.rst, "Core Interface Files").

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::libc;

/// Bytes of `cgroup.events`: two short lines today, room for more.
const EVENTS_BYTES: usize = 128;
/// Links to a directory without directories in it; a filesystem that does not count them says 1.
const CHILDLESS: u64 = 2;

/// Says what `cgroup.events` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Events {
    /// A process is in it or below.
    pub(super) populated: bool,
    /// Everything in it and below stands still, by its own freeze or that of a cgroup above.
    pub(super) frozen: bool,
}

/// Opens `cgroup.freeze` for reading and writing; it is never made.
pub(super) fn open_freeze(cgroup: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(cgroup.join("cgroup.freeze"))
}

/// Opens `cgroup.events`; a read also arms the next priority event.
pub(super) fn open_events(cgroup: &Path) -> io::Result<File> {
    File::open(cgroup.join("cgroup.events"))
}

/// Whether this very cgroup was told to freeze; what a cgroup above was told does not count.
pub(super) fn requested(freeze: &File) -> io::Result<bool> {
    let mut byte = [0];
    Ok(freeze.read_at(&mut byte, 0)? == 1 && byte == *b"1")
}

/// Tells it to freeze, or to go on.
pub(super) fn request(freeze: &File, wanted: bool) -> io::Result<()> {
    freeze.write_all_at(if wanted { b"1" } else { b"0" }, 0)
}

/// Reads its state.
pub(super) fn events(file: &File) -> io::Result<Events> {
    let mut text = [0; EVENTS_BYTES];
    let length = file.read_at(&mut text, 0)?;
    let mut found = Events::default();
    for line in text[..length].split(|&byte| byte == b'\n') {
        match line {
            b"populated 1" => found.populated = true,
            b"frozen 1" => found.frozen = true,
            _ => {}
        }
    }
    Ok(found)
}

/// Reads the state of a cgroup by its path.
pub(super) fn events_at(cgroup: &Path) -> io::Result<Events> {
    events(&open_events(cgroup)?)
}

/// Whether an error says that the cgroup has gone: ENOENT at its path, ENODEV at an open file of it.
pub(super) fn vanished(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

/// Lists the cgroups right below, by name; one that has gone has none.
///
/// Most cgroups have none. The kernel counts them in the links (`kernfs_refresh_inode`), and asking for those costs a
/// tenth of a listing, which names every control file.
pub(super) fn children(cgroup: &Path) -> Vec<PathBuf> {
    if fs::metadata(cgroup).is_ok_and(|found| found.nlink() == CHILDLESS) {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(cgroup) else { return Vec::new() };
    let mut children: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    children.sort_unstable();
    children
}

/// Goes through all cgroups below one, nearest first.
#[derive(Debug)]
pub(super) struct Walk {
    queue: VecDeque<PathBuf>,
    left: usize,
}

impl Walk {
    /// Begins below `root`; ends after `bound` cgroups.
    pub(super) fn new(root: &Path, bound: usize) -> Self {
        Self { queue: children(root).into(), left: bound }
    }

    /// Whether the bound ended it, and not the tree.
    pub(super) fn truncated(&self) -> bool {
        self.left == 0 && !self.queue.is_empty()
    }
}

impl Iterator for Walk {
    type Item = PathBuf;

    fn next(&mut self) -> Option<PathBuf> {
        self.left = self.left.checked_sub(1)?;
        let cgroup = self.queue.pop_front()?;
        self.queue.extend(children(&cgroup));
        Some(cgroup)
    }
}
