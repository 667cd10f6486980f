//! Missing directories, made so that they belong to the user.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::libc;

use super::FsError;
use crate::identity::User;

/// Mode of every directory that is made, whatever the umask.
const MODE: u32 = 0o755;

/// Makes `path` and its missing ancestors, each owned by `user`; says whether `path` itself was made by this call.
///
/// Any number of callers may do this at once: of those that make the same directory exactly one is told so, and a
/// directory that is there already is never changed. Symbolic links to directories count as directories.
///
/// # Errors
/// [`FsError::NotDirectory`] when something else has one of the names; else what the system said.
pub fn make(path: &Path, user: &User) -> Result<bool, FsError> {
    // Up to the deepest ancestor that is there, then down: mkdir tells both without asking first.
    let mut missing = Vec::new();
    let mut next = Some(path);
    while let Some(path) = next {
        match make_one(path, user) {
            Ok(made) => {
                if missing.is_empty() {
                    return Ok(made);
                }
                break;
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => missing.push(path),
            Err(error) => return Err(sort(path, error)),
        }
        next = path.parent();
    }
    let mut made = false;
    for path in missing.into_iter().rev() {
        made = make_one(path, user).map_err(|error| sort(path, error))?;
    }
    Ok(made)
}

/// Makes the directory that `path` is to be in.
///
/// # Errors
/// As [`make`].
pub fn make_for(path: &Path, user: &User) -> Result<(), FsError> {
    match path.parent() {
        Some(parent) => make(parent, user).map(|_| ()),
        None => Ok(()),
    }
}

fn make_one(path: &Path, user: &User) -> io::Result<bool> {
    match DirBuilder::new().mode(MODE).create(path) {
        Ok(()) => {
            // A directory that another caller removed meanwhile needs no owner.
            match own(path, user) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(true),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs::metadata(path) {
            Ok(there) if there.is_dir() => Ok(false),
            // A dangling link has the name, so the directory cannot be made there.
            Ok(_) => Err(io::Error::from_raw_os_error(libc::ENOTDIR)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
                Err(io::Error::from_raw_os_error(libc::ENOTDIR))
            }
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Gives the new directory to the user; through a descriptor, so that a link put in its place gets nothing.
fn own(path: &Path, user: &User) -> io::Result<()> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let dir: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let made = dir.metadata()?;
    if (made.uid(), made.gid()) != (user.uid, user.gid) {
        std::os::unix::fs::fchown(dir.as_fd(), Some(user.uid), Some(user.gid))?;
    }
    // The umask took bits away; those beyond 0777 (a parent's setgid) are the kernel's choice.
    if made.mode() & 0o777 != MODE {
        dir.set_permissions(Permissions::from_mode(made.mode() & 0o7000 | MODE))?;
    }
    Ok(())
}

fn sort(path: &Path, error: io::Error) -> FsError {
    match error.raw_os_error() {
        Some(libc::ENOTDIR) => FsError::NotDirectory(path.to_owned()),
        _ => FsError::io("make directory", path)(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::fs::scratch::{Scratch, user};

    #[test]
    fn four_callers_at_once_all_get_their_directories_and_one_made_each() {
        for _ in 0..50 {
            let scratch = Scratch::new();
            let path = scratch.at("a/b/c/d");
            let start = Barrier::new(4);
            let made = std::thread::scope(|scope| {
                let calls: Vec<_> = (0..4)
                    .map(|_| {
                        scope.spawn(|| {
                            start.wait();
                            make(&path, &user()).unwrap()
                        })
                    })
                    .collect();
                calls.into_iter().map(|call| call.join().unwrap()).filter(|made| *made).count()
            });
            assert_eq!(made, 1);
        }
    }

    #[test]
    fn made_directories_are_0755_and_the_users_and_others_are_left_alone() {
        let scratch = Scratch::new();
        make(&scratch.at("a/b"), &user()).unwrap();
        for name in ["a", "a/b"] {
            let meta = fs::metadata(scratch.at(name)).unwrap();
            assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (1000, 1001, 0o755), "{name}");
        }
        assert_eq!(fs::metadata(scratch.path()).unwrap().uid(), 0);
    }

    #[test]
    fn what_is_not_a_directory_is_named_as_such() {
        let scratch = Scratch::new();
        fs::write(scratch.at("f"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", scratch.at("dangling")).unwrap();
        std::os::unix::fs::symlink(".", scratch.at("link")).unwrap();
        for name in ["f", "f/x/y", "dangling"] {
            let error = make(&scratch.at(name), &user()).unwrap_err();
            assert!(matches!(error, FsError::NotDirectory(_)), "{name}: {error:?}");
        }
        assert!(!make(&scratch.at("link"), &user()).unwrap());
        assert!(make(&scratch.at("link/new"), &user()).unwrap());
    }
}
