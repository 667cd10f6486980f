//! What an agent that is started again in the same guest must still know.
//!
//! Its host does not learn that it died and came back, and brings token and defaults at the next resume only. Until then
//! a guest that forgot would let anybody in, as root. So whatever a host says is also kept in files on a tmpfs, for root
//! alone: they go where the agent's memory goes, into snapshots, and end with the guest as it does.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::sys::statfs;

/// Filesystems that live in memory: tmpfs and ramfs (magic numbers of statfs(2)).
const IN_MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];

/// Keeps small texts by name.
#[derive(Clone, Debug)]
pub struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// Uses a folder, which is made if need be; `None` unless it is in memory: elsewhere it would outlive the guest.
    #[must_use]
    pub fn on(folder: &Path) -> Option<Self> {
        fs::create_dir_all(folder).ok()?;
        let magic = statfs::magic(File::open(folder).ok()?.as_fd()).ok()?;
        IN_MEMORY.contains(&magic).then(|| Self { folder: folder.to_owned() })
    }

    /// Gives what was kept under this name.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }

    /// Keeps a text in place of the one before; whole or not at all. A failure is told in the log: the host has been
    /// obeyed all the same.
    pub fn write(&self, name: &str, text: &str) {
        if let Err(error) = self.replace(name, text) {
            tracing::warn!(name, %error, "cannot be kept for an agent that is started again");
        }
    }

    /// Keeps nothing under this name.
    pub fn remove(&self, name: &str) {
        match fs::remove_file(self.folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(name, %error, "cannot be forgotten");
            }
            _ => {}
        }
    }

    fn replace(&self, name: &str, text: &str) -> io::Result<()> {
        let new = self.folder.join(format!(".{name}"));
        let _ = fs::remove_file(&new);
        File::options().write(true).create_new(true).mode(0o600).open(&new)?.write_all(text.as_bytes())?;
        fs::rename(new, self.folder.join(name))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn texts_are_kept_in_memory_for_root_alone() {
        let folder = Path::new("/dev/shm").join(format!("thawd-kept-{}", std::process::id()));
        let kept = Kept::on(&folder).unwrap();
        assert_eq!(kept.read("it"), None);
        kept.write("it", "one");
        kept.write("it", "other");
        assert_eq!(Kept::on(&folder).unwrap().read("it").as_deref(), Some("other"));
        assert_eq!(fs::metadata(folder.join("it")).unwrap().permissions().mode() & 0o777, 0o600);
        kept.remove("it");
        kept.remove("it");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir(folder).unwrap();
    }

    #[test]
    fn nothing_is_kept_on_a_disk() {
        assert!(Kept::on(Path::new("/proc/self")).is_none());
    }
}
