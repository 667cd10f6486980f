//! One file that is not a directory, and the attributes of all.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use nix::libc;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, linkat, mknodat, utimensat};
use rustix::io::Errno;

use crate::sys::xattr::{self, Target};

/// How often a name is freed again because somebody took it meanwhile.
const ATTEMPTS: u32 = 8;

/// Copies a file, link, pipe, socket or device with its attributes; `found` tells which.
pub(super) fn copy_one(source: &Path, found: &Metadata, destination: &Path) -> io::Result<()> {
    if found.is_file() {
        return copy_file(source, destination);
    }
    let make = || -> io::Result<()> {
        if found.is_symlink() {
            return symlink(fs::read_link(source)?, destination);
        }
        let mode = Mode::from_raw_mode(found.mode() & 0o7777);
        Ok(mknodat(CWD, destination, FileType::from_raw_mode(found.mode()), mode, found.rdev())?)
    };
    at_free_name(destination, make)?;
    let owned = own(|uid, gid| lchown(destination, uid, gid), found)?;
    if !found.is_symlink() {
        fs::set_permissions(destination, fs::Permissions::from_mode(mode(found, owned)))?;
    }
    Ok(utimensat(CWD, destination, &times(found), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Runs `make`, which fails where the name is taken, after freeing the name as often as needed.
///
/// Linux cannot put a nameless file in the place of another in one step, so the name is free for a moment.
fn at_free_name(destination: &Path, make: impl Fn() -> io::Result<()>) -> io::Result<()> {
    for _ in 0..ATTEMPTS {
        match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs::remove_file(destination) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
            other => return other,
        }
    }
    make()
}

fn copy_file(source: &Path, destination: &Path) -> io::Result<()> {
    // A pipe put in the file's place meanwhile must not block the open.
    let from = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(source)?;
    let found = from.metadata()?;
    let dir = destination.parent().unwrap_or(Path::new("/"));
    match OpenOptions::new().write(true).mode(0o600).custom_flags(libc::O_TMPFILE).open(dir) {
        Ok(nameless) => {
            content(&from, found.len(), &nameless)?;
            attributes(&from, &found, &nameless)?;
            let name = format!("/proc/self/fd/{}", nameless.as_raw_fd());
            at_free_name(destination, || Ok(linkat(CWD, &*name, CWD, destination, AtFlags::SYMLINK_FOLLOW)?))
        }
        // These filesystems cannot make nameless files; a kernel before 3.11 takes the flag for a directory's.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)) => {
            let made = std::cell::Cell::new(None);
            at_free_name(destination, || {
                made.set(Some(OpenOptions::new().write(true).create_new(true).mode(0o600).open(destination)?));
                Ok(())
            })?;
            let named = made.into_inner().ok_or_else(|| io::Error::from_raw_os_error(libc::EBUSY))?;
            let copied = content(&from, found.len(), &named).and_then(|()| attributes(&from, &found, &named));
            copied.inspect_err(|_| drop(fs::remove_file(destination)))
        }
        Err(error) => Err(error),
    }
}

/// Copies what is data and leaves holes where the source has holes.
fn content(mut from: &File, length: u64, mut to: &File) -> io::Result<()> {
    to.set_len(length)?;
    let mut at = 0;
    while at < length {
        let start = match rustix::fs::seek(from, rustix::fs::SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            // No such question on this filesystem: all is data.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(from, rustix::fs::SeekFrom::Hole(start)).unwrap_or(length).max(start + 1);
        from.seek(SeekFrom::Start(start))?;
        to.seek(SeekFrom::Start(start))?;
        let copied = io::copy(&mut io::Read::take(from, end - start), &mut to)?;
        if copied == 0 {
            break;
        }
        at = start + copied;
    }
    Ok(())
}

/// Gives `to` the owner, extended attributes, mode and times of `from`; the mode after the owner, which clears bits.
pub(super) fn attributes(from: &File, found: &Metadata, to: &File) -> io::Result<()> {
    let owned = own(|uid, gid| std::os::unix::fs::fchown(to, uid, gid), found)?;
    let (source, target) = (Target::Open(from.as_fd()), Target::Open(to.as_fd()));
    for name in xattr::names(source).unwrap_or_default() {
        let Ok(value) = xattr::get(source, &name) else {
            continue;
        };
        match xattr::set(target, &name, &value) {
            Err(error) if !refused(&error) => return Err(error),
            _ => {}
        }
    }
    to.set_permissions(fs::Permissions::from_mode(mode(found, owned)))?;
    Ok(rustix::fs::futimens(to, &times(found))?)
}

/// Changes the owner where that is allowed; says whether it was.
fn own(chown: impl Fn(Option<u32>, Option<u32>) -> io::Result<()>, found: &Metadata) -> io::Result<bool> {
    match chown(Some(found.uid()), Some(found.gid())) {
        Ok(()) => Ok(true),
        Err(error) if refused(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Keeps the bits that lend the owner's rights only when the owner was kept.
fn mode(found: &Metadata, owned: bool) -> u32 {
    found.mode() & if owned { 0o7777 } else { 0o777 }
}

fn times(found: &Metadata) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: found.atime(), tv_nsec: found.atime_nsec() },
        last_modification: Timespec { tv_sec: found.mtime(), tv_nsec: found.mtime_nsec() },
    }
}

fn refused(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOTSUP | libc::EINVAL))
}
