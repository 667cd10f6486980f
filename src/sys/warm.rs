//! Whether a path can be looked at without waiting for a disk or a server.

use std::io;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

/// Says whether every step to what `path` leads to is on the filesystem of `/` and in memory, so that a look at it
/// takes microseconds.
///
/// Asked is for something that cannot be had, a folder to write to: the kernel refuses that when it has found the
/// file, and opens nothing. With `RESOLVE_CACHED` it says EAGAIN when it would have to wait for a step (openat2(2);
/// since Linux 5.12, older kernels refuse the flag), and with `RESOLVE_NO_XDEV` EXDEV at the first mount point:
/// behind one there may be a server that does not answer, and the filesystem of `/` is one that the agent's own code
/// comes from.
#[must_use]
pub fn is_warm(path: &Path) -> bool {
    let folder_to_write = OFlags::WRONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let asked = openat2(CWD, path, folder_to_write, Mode::empty(), ResolveFlags::CACHED | ResolveFlags::NO_XDEV);
    // NOTDIR: found, and no folder. ISDIR: found, and one.
    matches!(asked.map_err(io::Error::from), Err(error)
        if matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory))
}

#[cfg(test)]
mod tests {
    use super::*;

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
