//! What can be looked at and read without waiting for a disk or a server.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

/// Every step is in memory and on the filesystem of `/` (openat2(2); `RESOLVE_CACHED` since Linux 5.12, older kernels
/// refuse it).
const WARM: ResolveFlags = ResolveFlags::CACHED.union(ResolveFlags::NO_XDEV);

/// Says whether every step to what `path` leads to is on the filesystem of `/` and in memory, so that a look at it
/// takes microseconds.
///
/// Asked is for something that cannot be had, a folder to write to: the kernel refuses that when it has found the
/// file, and opens nothing. With `RESOLVE_CACHED` it says EAGAIN when it would have to wait for a step, and with
/// `RESOLVE_NO_XDEV` EXDEV at the first mount point: behind one there may be a server that does not answer, and the
/// filesystem of `/` is one that the agent's own code comes from.
#[must_use]
pub fn is_warm(path: &Path) -> bool {
    let folder_to_write = OFlags::WRONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let asked = openat2(CWD, path, folder_to_write, Mode::empty(), WARM);
    // NOTDIR: found, and no folder. ISDIR: found, and one.
    matches!(asked.map_err(io::Error::from), Err(error)
        if matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory))
}

/// Reads a regular file of 1 to `most` bytes of which memory has all; `None` where it has not, or it is something else.
///
/// Nothing but a regular file is opened, since to open a pipe lets its writer go on. The time of the last access stays:
/// to change it is to write, and may wait.
#[must_use]
pub fn content(path: &Path, most: usize) -> Option<(Metadata, Vec<u8>)> {
    let place = File::from(openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), WARM).ok()?);
    let found = place.metadata().ok()?;
    let size = usize::try_from(found.len()).ok().filter(|size| found.is_file() && (1..=most).contains(size))?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOATIME | OFlags::CLOEXEC;
    let again = format!("/proc/self/fd/{}", place.as_raw_fd());
    let file = File::from(rustix::fs::open(again, flags, Mode::empty()).ok()?);
    // One more than there should be: what grows meanwhile is as long as it was when it was looked at.
    let mut bytes = Vec::new();
    let read = super::file::read_warm(&file, &mut bytes, 0, size + 1).ok()?;
    bytes.truncate(size);
    (read >= size).then_some((found, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_that_was_just_written_is_read_and_nothing_else() {
        // Of the filesystem of `/`, which /tmp may not be.
        let folder = Path::new("/var/lib").join(format!("thawd-warm-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("f");
        for size in [0_usize, 1, 4096, 65_536, 65_537] {
            std::fs::write(&file, vec![b'x'; size]).unwrap();
            let read = content(&file, 65_536);
            assert_eq!(read.is_some(), (1..=65_536).contains(&size), "{size}");
            assert!(read.is_none_or(|(found, bytes)| found.len() == size as u64 && bytes == vec![b'x'; size]));
        }
        let pipe = folder.join("p");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        for other in [&*folder, &pipe, Path::new("/proc/self/environ"), Path::new("/dev/zero"), &folder.join("none")] {
            assert!(content(other, 65_536).is_none(), "{}", other.display());
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_was_just_looked_at_is_warm_and_other_mounts_never_are() {
        for path in ["/etc/passwd", "/etc"] {
            std::fs::metadata(path).unwrap();
            assert!(is_warm(Path::new(path)), "{path}");
        }
        std::fs::metadata("/proc/version").unwrap();
        assert!(!is_warm(Path::new("/proc/version")), "another filesystem");
        assert!(!is_warm(Path::new("/there/is/no/such")), "nothing to look at");
    }

    #[test]
    fn asking_opens_and_changes_nothing() {
        let folder = std::env::temp_dir().join(format!("thawd-warm-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("f");
        std::fs::write(&file, "x").unwrap();
        let before = std::fs::metadata(&file).unwrap();
        let _ = (is_warm(&file), is_warm(&folder.join("none")));
        assert_eq!(before.modified().unwrap(), std::fs::metadata(&file).unwrap().modified().unwrap());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
