//! Trees to freeze: one of plain files, one of real cgroups; both go with the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::workload::Freezer;

static NUMBER: AtomicU64 = AtomicU64::new(0);

fn name() -> String {
    format!("thawd-freeze-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Waits until `test` holds; the kernel moves processes when it likes.
pub(super) fn until(what: &str, test: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !test() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a cgroup itself was told to freeze.
pub(super) fn told(cgroup: &Path) -> bool {
    fs::read_to_string(cgroup.join("cgroup.freeze")).unwrap().starts_with('1')
}

/// Looks like a cgroup tree, and never freezes by itself.
pub(super) struct Fake {
    pub(super) root: PathBuf,
}

impl Fake {
    /// Makes `user`, `ptys` and more.
    pub(super) fn new(cgroups: &[&str]) -> Self {
        let fake = Self { root: std::env::temp_dir().join(name()) };
        fs::create_dir(&fake.root).unwrap();
        for cgroup in ["user", "ptys"].iter().chain(cgroups) {
            fake.add(cgroup);
        }
        fake
    }

    pub(super) fn at(&self, cgroup: &str) -> PathBuf {
        self.root.join(cgroup)
    }

    /// Makes a cgroup and those above it.
    pub(super) fn add(&self, cgroup: &str) {
        let mut path = self.root.clone();
        for part in Path::new(cgroup) {
            path.push(part);
            if fs::create_dir(&path).is_ok() {
                fs::write(path.join("cgroup.freeze"), "0\n").unwrap();
                fs::write(path.join("cgroup.events"), "populated 1\nfrozen 0\n").unwrap();
            }
        }
    }

    /// Freezes a cgroup as a program of the guest would.
    pub(super) fn pause(&self, cgroup: &str) {
        fs::write(self.at(cgroup).join("cgroup.freeze"), "1\n").unwrap();
    }

    /// Lets a cgroup tell of its state.
    pub(super) fn show(&self, cgroup: &str, populated: bool, frozen: bool) {
        let text = format!("populated {}\nfrozen {}\n", u8::from(populated), u8::from(frozen));
        fs::write(self.at(cgroup).join("cgroup.events"), text).unwrap();
    }

    /// Lets every write to a file of a cgroup fail with ENOSPC.
    pub(super) fn break_writes(&self, cgroup: &str) {
        let file = self.at(cgroup).join("cgroup.freeze");
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/dev/full", file).unwrap();
    }

    pub(super) fn told(&self, cgroup: &str) -> bool {
        told(&self.at(cgroup))
    }

    /// Makes a freezer of an agent in the root.
    pub(super) fn freezer(&self) -> Freezer {
        Freezer::new(Some(self.root.clone())).with_own(PathBuf::new())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Is a cgroup of this machine with `user` and `ptys` in it, and programs in those.
pub(super) struct Real {
    pub(super) root: PathBuf,
    programs: Vec<Child>,
}

impl Real {
    pub(super) fn new() -> Self {
        let mut mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new).into_iter();
        let mount = mounts.find(|mount| mount.join("cgroup.controllers").exists());
        let root = mount.expect("this test needs a writable cgroup v2 mount").join(name());
        fs::create_dir(&root).unwrap();
        let real = Self { root, programs: Vec::new() };
        real.add("user");
        real.add("ptys");
        real
    }

    pub(super) fn at(&self, cgroup: &str) -> PathBuf {
        self.root.join(cgroup)
    }

    pub(super) fn add(&self, cgroup: &str) {
        fs::create_dir_all(self.at(cgroup)).unwrap();
    }

    /// Starts a program and puts it into a cgroup.
    pub(super) fn run(&mut self, cgroup: &str, script: &str) -> u32 {
        let child = Command::new("/bin/sh").args(["-c", script]).stdout(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        self.programs.push(child);
        fs::write(self.at(cgroup).join("cgroup.procs"), pid.to_string()).unwrap();
        pid
    }

    pub(super) fn pause(&self, cgroup: &str) {
        fs::write(self.at(cgroup).join("cgroup.freeze"), "1").unwrap();
        until("the guest's own freeze", || self.frozen(cgroup));
    }

    pub(super) fn told(&self, cgroup: &str) -> bool {
        told(&self.at(cgroup))
    }

    /// Whether a cgroup stands still.
    pub(super) fn frozen(&self, cgroup: &str) -> bool {
        fs::read_to_string(self.at(cgroup).join("cgroup.events")).unwrap().contains("frozen 1")
    }

    pub(super) fn freezer(&self) -> Freezer {
        Freezer::new(Some(self.root.clone())).with_own(PathBuf::from("agent"))
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        fs::write(self.root.join("cgroup.kill"), "1").unwrap();
        for program in &mut self.programs {
            let _ = program.kill();
            let _ = program.wait();
        }
        let events = self.root.join("cgroup.events");
        until("the cgroup of the test is empty", || {
            fs::read_to_string(&events).is_ok_and(|events| events.contains("populated 0"))
        });
        remove(&self.root);
    }
}

fn remove(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).unwrap().flatten() {
        if entry.path().is_dir() {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(cgroup);
}
