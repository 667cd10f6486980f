//! Taking a file or a whole tree away.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, lstat, openat, statat, unlinkat};
use rustix::io::Errno;

use super::FsError;

/// Directories that are never removed, by whatever name they are reached: the machine stops without them.
const PROTECTED: [&str; 4] = ["/", "/proc", "/sys", "/dev"];

/// How often a directory is emptied again because somebody filled it meanwhile.
const ATTEMPTS: u32 = 8;

/// Directories are held by path descriptors, which need no right to read; reading opens anew.
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Removes what is at `path`, a directory with all its content; what is not there is removed already.
///
/// No link is followed, also none that is put in the way meanwhile. A tree may be deeper than any path can name.
///
/// # Errors
/// [`FsError::Protected`], or what the system said; part of a tree may be gone then.
pub fn remove(path: &Path) -> Result<(), FsError> {
    guard(path)?;
    match unlink_all(path) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(error) => Err(FsError::io("remove", path)(error.into())),
    }
}

/// Compares by device and inode, so that no link or bind mount leads around the guard.
fn guard(path: &Path) -> Result<(), FsError> {
    let identity = |path: &Path| lstat(path).ok().map(|found| (found.st_dev, found.st_ino));
    let found = identity(path);
    if found.is_some() && PROTECTED.iter().any(|kept| identity(Path::new(kept)) == found) {
        return Err(FsError::Protected(path.to_owned()));
    }
    Ok(())
}

fn unlink_all(path: &Path) -> Result<(), Errno> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::BUSY);
    };
    let name = CString::new(name.as_bytes()).map_err(|_| Errno::INVAL)?;
    let parent = openat(CWD, parent, DIRECTORY, Mode::empty())?;
    if unlink(&parent, &name)? { tree(parent, name) } else { Ok(()) }
}

/// One directory on the way down.
struct Level {
    name: CString,
    /// Device and inode of the directory that has this one, to know it again.
    above: (u64, u64),
    /// Directories beside this one that are still to be removed.
    beside: Vec<CString>,
    attempts: u32,
}

/// Removes the directory `name` with one descriptor open, whatever the depth: the way back up is `..`, checked on
/// arrival. Neither descriptors nor this thread's stack grow with the tree.
fn tree(parent: OwnedFd, name: CString) -> Result<(), Errno> {
    let (mut here, mut inside) = (parent, vec![name]);
    let mut down: Vec<Level> = Vec::new();
    loop {
        if let Some(name) = inside.pop() {
            match openat(&here, &name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(next) => {
                    let beside = std::mem::replace(&mut inside, empty(&next)?);
                    down.push(Level { name, above: identity(&here)?, beside, attempts: 0 });
                    here = next;
                }
                // Gone, or something else by now: then removing the directory that has it finds it.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(error),
            }
            continue;
        }
        let Some(mut level) = down.pop() else {
            return Ok(());
        };
        let parent = openat(&here, c"..", DIRECTORY, Mode::empty())?;
        if identity(&parent)? != level.above {
            // Somebody moved it meanwhile: nobody asked to remove anything from where `..` leads now.
            return Err(Errno::BUSY);
        }
        match unlinkat(&parent, &level.name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY) if level.attempts < ATTEMPTS => {
                level.attempts += 1;
                inside = empty(&here)?;
                down.push(level);
            }
            Ok(()) | Err(Errno::NOENT) => (here, inside) = (parent, level.beside),
            Err(error) => return Err(error),
        }
    }
}

/// Unlinks everything in a directory that is not a directory, and names those that are.
fn empty(dir: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut directories = Vec::new();
    let readable = openat(dir, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for entry in Dir::new(readable)? {
        let entry = entry?;
        let name = entry.file_name();
        let dots = matches!(name.to_bytes(), b"." | b"..");
        if !dots && (entry.file_type() == FileType::Directory || unlink(dir, name)?) {
            directories.push(name.to_owned());
        }
    }
    Ok(directories)
}

/// Unlinks what is not a directory; says whether it is one, and so still there.
fn unlink(dir: &OwnedFd, name: &CStr) -> Result<bool, Errno> {
    let is_directory = || {
        let found = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory)
    };
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(false),
        Err(Errno::ISDIR) => Ok(true),
        // The word of POSIX and of some network filesystems for a directory (unlink(2)), and of all for immutable.
        Err(Errno::PERM) if is_directory() => Ok(true),
        Err(error) => Err(error),
    }
}

fn identity(dir: &OwnedFd) -> Result<(u64, u64), Errno> {
    let found = fstat(dir)?;
    Ok((found.st_dev, found.st_ino))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::mkdirat;

    use super::*;
    use crate::base::{Failure, Kind};
    use crate::fs::scratch::Scratch;

    #[test]
    fn removing_what_is_not_there_succeeds() {
        let scratch = Scratch::new();
        fs::write(scratch.at("f"), "").unwrap();
        remove(&scratch.at("none/x")).unwrap();
        remove(&scratch.at("f/x")).unwrap();
        assert!(scratch.at("f").exists());
    }

    #[test]
    fn removing_a_link_or_a_tree_with_links_leaves_what_they_lead_to() {
        let (scratch, other) = (Scratch::new(), Scratch::new());
        fs::write(other.at("kept"), "").unwrap();
        fs::create_dir_all(scratch.at("tree/a/b")).unwrap();
        fs::write(scratch.at("tree/a/f"), "").unwrap();
        symlink(other.path(), scratch.at("tree/a/link")).unwrap();
        symlink(other.path(), scratch.at("link")).unwrap();
        remove(&scratch.at("tree")).unwrap();
        remove(&scratch.at("link")).unwrap();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
        assert!(other.at("kept").exists());
    }

    #[test]
    fn the_root_and_the_kernels_directories_are_never_removed_by_any_name() {
        let scratch = Scratch::new();
        symlink("/", scratch.at("root")).unwrap();
        let alias = scratch.at("root/proc");
        for path in ["/", "/proc", "/sys", "/dev", alias.to_str().unwrap()] {
            assert_eq!(remove(Path::new(path)).unwrap_err().kind(), Kind::InvalidArgument, "{path}");
        }
    }

    #[test]
    fn a_tree_deeper_than_any_path_or_stack_is_removed() {
        let scratch = Scratch::new();
        let mut here = openat(CWD, scratch.path(), DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..5_000 {
            mkdirat(&here, c"deeper", Mode::RWXU).unwrap();
            here = openat(&here, c"deeper", DIRECTORY, Mode::empty()).unwrap();
        }
        drop(here);
        remove(&scratch.at("deeper")).unwrap();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_tree_that_is_being_filled_is_removed_or_said_to_be_in_use() {
        let scratch = Scratch::new();
        let tree = scratch.at("tree");
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for name in (0..).take_while(|_| !stop.load(std::sync::atomic::Ordering::Relaxed)) {
                    let _ = fs::create_dir_all(tree.join(format!("d{}", name % 7)));
                    let _ = fs::write(tree.join(format!("d{}/{name}", name % 7)), "");
                }
            });
            for _ in 0..200 {
                let removed = remove(&tree).map_err(|error| error.kind());
                assert!(matches!(removed, Ok(()) | Err(Kind::FailedPrecondition)), "{removed:?}");
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        remove(&tree).unwrap();
    }
}
