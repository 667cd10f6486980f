//! Hooks that behave, and hooks that do not: real programs, real cgroups, real sockets.

mod programs;
mod rules;
mod servers;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{Context, Hooks, Outcome, Settings};
use crate::base::Tasks;
use crate::workload::{self, Workload};

/// What the machine may add to a bound when it is busy; alone it stays below the promised 50 ms.
const LOADED: Duration = Duration::from_millis(600);
/// A hook may take this long where its deadline is what is tested.
const SHORT: Duration = Duration::from_millis(200);
/// A bound that no test reaches unless something hangs.
const LONG: Duration = Duration::from_secs(20);

const CONTEXT: Context =
    Context { generation: 7, paused: Duration::from_millis(1234), clone: true, stop_at_failure: false };

/// A folder of hooks and a cgroup root of their own.
struct Den {
    folder: PathBuf,
    cgroups: Option<PathBuf>,
    hooks: Hooks,
    tasks: Tasks,
}

impl Den {
    /// Hooks have `each` long.
    fn new(each: Duration) -> Self {
        Self::make(each, true)
    }

    fn make(each: Duration, cgroups: bool) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("thawd-hooks-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(&name);
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        let cgroups = cgroups.then(|| cgroup_mount().join(&name));
        if let Some(root) = &cgroups {
            fs::create_dir(root).unwrap();
        }
        let workload = Arc::new(Workload::prepare(&workload::Settings { root: cgroups.clone() }));
        let tasks = Tasks::default();
        let hooks = Hooks::new(Settings { folder: folder.clone(), each }, workload, tasks.clone());
        Self { folder, cgroups, hooks, tasks }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, mode: u32, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    /// Adds a hook; `$DEN` is the folder.
    fn script(&self, name: &str, text: &str) {
        self.write(name, 0o755, &format!("#!/bin/sh\nDEN={}\n{text}\n", self.folder.display()));
    }

    async fn freeze(&self) -> Vec<Outcome> {
        self.hooks.freeze(LONG, &CONTEXT).await
    }

    /// Lists the processes in the cgroups of hooks.
    fn members(&self) -> Vec<String> {
        let mut members = Vec::new();
        for leaf in self.leaves() {
            let text = fs::read_to_string(leaf.join("cgroup.procs")).unwrap_or_default();
            members.extend(text.lines().map(str::to_owned));
        }
        members
    }

    fn leaves(&self) -> Vec<PathBuf> {
        let Some(root) = &self.cgroups else { return Vec::new() };
        let entries = fs::read_dir(root.join("lifecycle")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.path()).collect()
    }

    /// Waits until no process, no cgroup and no task of a hook is left.
    async fn settled(&self) {
        until("the hooks have gone", || self.leaves().is_empty() && self.tasks.running() == 0).await;
        assert_eq!(self.members(), [""; 0]);
    }
}

impl Drop for Den {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
        let Some(root) = &self.cgroups else { return };
        let _ = fs::write(root.join("cgroup.kill"), "1");
        let deadline = std::time::Instant::now() + LONG;
        while remove(root).is_err() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn remove(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)?.flatten().filter(|entry| entry.path().is_dir()) {
        remove(&entry.path())?;
    }
    fs::remove_dir(dir)
}

fn cgroup_mount() -> PathBuf {
    let found = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from).into_iter().find(|root| {
        root.join("cgroup.procs").exists()
            && nix::unistd::access(root, nix::unistd::AccessFlags::W_OK).is_ok()
            && root.join("cgroup.controllers").exists()
    });
    found.expect("this test needs a writable cgroup v2 mount, at /sys/fs/cgroup or /sys/fs/cgroup/unified")
}

async fn until(what: &str, mut test: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !test() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Says whether a process runs; one that waits to be reaped, perhaps by a lazy init, does not.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Checks that a hook was given up when its time was over, and says by how much that was late.
fn assert_punctual(took: Duration, limit: Duration) {
    let over = took.checked_sub(limit).expect("given up before its time");
    println!("over its time by {over:?}");
    assert!(over < LOADED, "over its time by {over:?}");
}

fn error(outcome: &Outcome) -> String {
    outcome.error.as_ref().map(|error| crate::base::sentence(error)).unwrap_or_default()
}

fn errors(outcomes: &[Outcome]) -> Vec<String> {
    outcomes.iter().map(|outcome| format!("{}: {}", outcome.name, error(outcome))).collect()
}

fn text(outcome: &Outcome) -> String {
    String::from_utf8_lossy(&outcome.output).into_owned()
}
