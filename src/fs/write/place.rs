//! Where a file without a name is made.
//!
//! A file opened with O_TMPFILE keeps the directory it was opened in as its parent until it is linked, and inotify
//! tells watchers of that directory about every write to it, under the name `#<inode>` (measured on Linux 6.18). So it
//! must be in the target's file system, to be linked there, but not in a directory that anybody is likely to watch:
//! not the target's own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::libc;

use super::error::is_full;
use crate::sys::file::{self, Mount};

/// Directories that nobody watches, below the root of a mount.
const QUIET: [&str; 4] = ["lost+found", "var/lib", "usr/lib", ""];
/// Entries of a mount's root that are looked at for any other directory.
const LOOKED_AT: usize = 64;
/// Where content is kept that must not or cannot lie in the target's file system.
const ELSEWHERE: [&str; 3] = ["/var/tmp", "/tmp", "/"];
/// File systems that live in memory (tmpfs, ramfs): no better than a file in memory.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// Remembers the last answer: programs write many files to one directory, and looking costs ten system calls.
static LAST: Mutex<Option<Known>> = Mutex::new(None);

/// Holds a directory and the place where files for it were made. Should mounts have changed since, linking fails with
/// EXDEV, which the caller must survive anyway.
#[derive(Debug)]
struct Known {
    dir: PathBuf,
    place: PathBuf,
}

/// Opens an unnamed file that can be linked into `dir`; `None` where there is no way to.
///
/// # Errors
/// Only that the file system is full.
pub(super) fn unnamed(dir: &Path) -> io::Result<Option<File>> {
    let known = LAST.lock().unwrap_or_else(PoisonError::into_inner).take_if(|known| known.dir == dir);
    if let Some(known) = known
        && let Ok(file) = file::open_unnamed(&known.place)
    {
        remember(known);
        return Ok(Some(file));
    }
    let found = look(dir)?;
    Ok(found.map(|(place, file)| {
        remember(Known { dir: dir.to_owned(), place });
        file
    }))
}

/// Forgets the place of a directory where linking failed.
pub(super) fn forget(dir: &Path) {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).take_if(|known| known.dir == dir);
}

fn remember(known: Known) {
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
}

fn look(dir: &Path) -> io::Result<Option<(PathBuf, File)>> {
    let Ok(dir) = fs::canonicalize(dir) else {
        return Ok(None);
    };
    let Ok(home) = file::mount_of(&dir) else {
        return Ok(None);
    };
    let mut root = dir.as_path();
    while let Some(parent) = root.parent()
        && is_on(parent, home)
    {
        root = parent;
    }
    let any = std::iter::once_with(|| subdirectory(root)).flatten();
    let quiet = QUIET.iter().map(|name| root.join(name)).chain(any);
    for place in quiet.filter(|place| *place != dir && is_on(place, home)) {
        match file::open_unnamed(&place) {
            Ok(file) => return Ok(Some((place, file))),
            Err(error) if is_full(&error) => return Err(error),
            // No file of this file system can be without a name: asking in other directories is no use.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => return Ok(None),
            Err(_) => {}
        }
    }
    Ok(None)
}

/// Opens a file outside the file system of `dir`, and says how many bytes it may take.
///
/// A disk is preferred; memory is the last resort, and never more than half of what is available.
///
/// # Errors
/// When not even a file in memory can be made.
pub(super) fn elsewhere(dir: &Path) -> io::Result<(File, u64)> {
    let home = file::mount_of(dir).ok();
    for place in ELSEWHERE.map(Path::new) {
        let Ok(mount) = file::mount_of(place) else {
            continue;
        };
        if home.is_some_and(|home| home.shares_device(mount)) {
            continue;
        }
        if let Ok(Some(file)) = unnamed(place)
            && file::space(&file).is_ok_and(|space| !IN_MEMORY.contains(&space.magic))
        {
            return Ok((file, u64::MAX));
        }
    }
    Ok((file::open_in_memory()?, available_memory() / 2))
}

/// Finds the deepest directory of `path` that is there.
pub(super) fn nearest(path: &Path) -> PathBuf {
    let found = path.ancestors().skip(1).find(|dir| dir.is_dir());
    found.unwrap_or_else(|| Path::new("/")).to_owned()
}

fn is_on(place: &Path, home: Mount) -> bool {
    file::mount_of(place).is_ok_and(|mount| mount == home)
}

/// Finds any directory in the root of a mount, for a target that lies in that root itself.
fn subdirectory(root: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(root).ok()?.take(LOOKED_AT);
    entries.flatten().find(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

/// Reads `MemAvailable` (proc_meminfo(5)) in bytes; 64 MiB when the kernel does not say.
fn available_memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(64 * 1024).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::scratch::Scratch;

    #[test]
    fn an_unnamed_file_is_not_made_in_the_directory_it_is_meant_for() {
        let scratch = Scratch::new();
        let file = unnamed(scratch.path()).unwrap().unwrap();
        let shown = file::real_path(&file).unwrap();
        assert!(!shown.starts_with(scratch.path()), "{}", shown.display());
        file::link_unnamed(&file, &scratch.at("named")).unwrap();
    }

    #[test]
    fn the_nearest_directory_of_a_new_tree_is_the_one_that_is_there() {
        let scratch = Scratch::new();
        assert_eq!(nearest(&scratch.at("a/b/c")), scratch.path());
        fs::write(scratch.at("f"), "").unwrap();
        assert_eq!(nearest(&scratch.at("f/x")), scratch.path());
    }

    #[test]
    fn elsewhere_is_never_the_same_file_system() {
        let (file, most) = elsewhere(Path::new("/")).unwrap();
        assert!(most > 1 << 20);
        assert_ne!(
            std::os::unix::fs::MetadataExt::dev(&file.metadata().unwrap()),
            std::os::unix::fs::MetadataExt::dev(&fs::metadata("/").unwrap())
        );
    }
}
