//! Reading directories that are watched, or about to be.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, StatxFlags, StatxTimestamp, fstat, openat, statx};
use rustix::time::{ClockId, clock_gettime};

use super::forest::Inode;
use crate::sys::statfs;

/// Filesystems on which changes by other machines raise no events: NFS, CIFS, SMB, SMB2, FUSE (linux/magic.h).
const NETWORK: [u32; 5] = [0x6969, 0xFF53_4D42, 0x517B, 0xFE53_4D42, 0x6573_5546];

/// Views of the kernel, not worth walking because nothing in them raises events: proc, sysfs (linux/magic.h).
const VIEWS: [u32; 2] = [0x9FA0, 0x6265_6572];

/// One name in a directory.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: OsString,
    pub(super) is_dir: bool,
    /// Inode and times, when they were asked for and it did not vanish.
    pub(super) times: Option<Times>,
}

/// When a file came to be, last changed, and last changed in content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) inode: u64,
    /// Absent where the filesystem does not keep it.
    pub(super) born: Option<SystemTime>,
    pub(super) changed: SystemTime,
    pub(super) written: SystemTime,
}

/// Opens a directory for watching and reading; `follow` allows its last name to be a link.
pub(super) fn open(path: &Path, follow: bool) -> io::Result<(OwnedFd, Inode)> {
    let link = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK | link;
    let dir = openat(CWD, path, flags, Mode::empty())?;
    let found = fstat(&dir)?;
    Ok((dir, (found.st_dev, found.st_ino)))
}

/// Says whether an open directory is on a network filesystem.
pub(super) fn network(dir: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(NETWORK.contains(&statfs::magic(dir)?))
}

/// Says whether a recursive watch stops at this open directory, which is on another filesystem than its parent.
pub(super) fn foreign(dir: &OwnedFd, allow_network: bool) -> bool {
    let Ok(magic) = statfs::magic(dir.as_fd()) else {
        return true;
    };
    VIEWS.contains(&magic) || (!allow_network && NETWORK.contains(&magic))
}

/// Reads an open directory in the order of names; with `times` each is looked at, without it only types are read.
pub(super) fn read(dir: &OwnedFd, times: bool) -> io::Result<Vec<Found>> {
    let mut all = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let is_dir = match entry.file_type() {
            FileType::Unknown => look(dir, name).is_ok_and(|(kind, _)| kind == FileType::Directory),
            kind => kind == FileType::Directory,
        };
        let times = if times { look(dir, name).ok().map(|(_, times)| times) } else { None };
        all.push(Found { name: name.to_owned(), is_dir, times });
    }
    all.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

fn look(dir: &OwnedFd, name: &OsStr) -> io::Result<(FileType, Times)> {
    let mask = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::BTIME | StatxFlags::CTIME | StatxFlags::MTIME;
    let found = statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, mask)?;
    let born = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
    let times = Times {
        inode: found.stx_ino,
        born: born.then(|| time(&found.stx_btime)),
        changed: time(&found.stx_ctime),
        written: time(&found.stx_mtime),
    };
    Ok((FileType::from_raw_mode(found.stx_mode.into()), times))
}

fn time(stamp: &StatxTimestamp) -> SystemTime {
    since_epoch(stamp.tv_sec, stamp.tv_nsec)
}

/// Reads the clock that filesystems stamp files with; it moves once a tick, up to 10 ms.
pub(super) fn now() -> SystemTime {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    since_epoch(now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or(0))
}

fn since_epoch(seconds: i64, nanos: u32) -> SystemTime {
    match u64::try_from(seconds) {
        Ok(seconds) => SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos),
        // Nothing here is as old as the epoch.
        Err(_) => SystemTime::UNIX_EPOCH,
    }
}
