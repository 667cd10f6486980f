//! What the tests look at on the host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use icebox::guest::Guest;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Counts in memory alone, and tells where it is.
pub(crate) const COUNTER: &str = "i=0; while :; do i=$((i+1)); echo $i > /run/count; sleep 0.05; done";

/// Waits for a condition.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process is there; one that nobody waited for does not count.
pub(crate) fn lives(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat"));
    status.is_ok_and(|status| !status.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
}

/// Where the counter of a guest is; waits until it has begun.
#[track_caller]
pub(crate) fn count(guest: &Guest) -> u64 {
    let mut count = None;
    eventually("the counter counts", || {
        count = guest.sh("cat /run/count 2>/dev/null || true").trim().parse().ok();
        count.is_some()
    });
    count.unwrap()
}

/// A folder for one test, gone with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("icebox-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Names of what is in it.
    pub(crate) fn names(&self) -> Vec<String> {
        fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Processes of QEMU whose files are in `folder`.
pub(crate) fn qemus_in(folder: &Path) -> Vec<u32> {
    let in_it = |pid: &u32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(in_it).collect()
}

/// A small filesystem in memory.
pub(crate) struct Tmpfs(pub(crate) Folder);

impl Tmpfs {
    pub(crate) fn new(name: &str, size: &str) -> Self {
        let folder = Folder::new(name);
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).status();
        assert!(mounted.unwrap().success(), "this test must be able to mount: run it as root");
        Self(folder)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// A small filesystem in a file.
pub(crate) struct SmallDisk(Folder);

impl SmallDisk {
    pub(crate) fn new(name: &str, mib: u64) -> Self {
        let disk = Self(Folder::new(name));
        let image = disk.0.join("image");
        fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
        fs::create_dir(disk.mounted()).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&image).status();
        assert!(made.unwrap().success(), "this test needs mkfs.ext4");
        let mounted = Command::new("mount").args(["-o", "loop"]).arg(&image).arg(disk.mounted()).status();
        assert!(mounted.unwrap().success(), "this test must be able to mount: run it as root");
        disk
    }

    pub(crate) fn mounted(&self) -> PathBuf {
        self.0.join("mounted")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.mounted()).status();
    }
}
