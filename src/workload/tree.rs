//! Where programs are placed, and how all of one program is found without cgroups.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::libc;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

use super::freeze::Freezer;
use super::leaf::{self, Leaf};
use super::limits;

/// Says where programs are placed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Mount point of cgroup v2; `None` places nothing.
    pub root: Option<PathBuf>,
}

/// Sorts programs as hosts do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// On a terminal.
    Pty,
    /// Not on a terminal.
    User,
    /// A hook of freeze or thaw: runs while the others stand still.
    Hook,
    /// Of the host: outside the frozen part, in the agent's own cgroup.
    System,
}

/// Gives each program a place; clones are not needed, one value lives in an `Arc`.
#[derive(Debug)]
pub struct Workload {
    root: Option<PathBuf>,
    /// Begins the name of every leaf of this agent.
    prefix: String,
    counter: AtomicU64,
}

impl Workload {
    /// Makes the class cgroups. Where that is impossible (no cgroup v2, no right) programs run without a place.
    #[must_use]
    pub fn prepare(settings: &Settings) -> Self {
        let root = settings.root.clone().filter(|root| match prepare(root) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(root = %root.display(), %error, "no cgroups: programs are not placed");
                false
            }
        });
        Self { root, prefix: format!("thawd-{}-", std::process::id()), counter: AtomicU64::new(0) }
    }

    /// Makes a place for one program; `None` where there are no cgroups or the program belongs to the host.
    #[must_use]
    pub fn place(&self, class: Class) -> Option<Leaf> {
        let parent = match class {
            Class::Pty => "ptys",
            Class::User => "user",
            Class::Hook => "lifecycle",
            Class::System => return None,
        };
        let root = self.root.as_ref()?;
        for _ in 0..PLACES_TRIED {
            let number = self.counter.fetch_add(1, Ordering::Relaxed);
            match Leaf::make(root.join(parent).join(format!("{}{number}", self.prefix))) {
                Ok(leaf) => return Some(leaf),
                // Left by an agent that had our process id.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // Somebody took the parent away.
                Err(error) if error.kind() == io::ErrorKind::NotFound && prepare(root).is_ok() => {}
                Err(error) => {
                    tracing::warn!(%error, "no cgroup for this program");
                    return None;
                }
            }
        }
        None
    }

    /// Says whether programs are placed in cgroups.
    #[must_use]
    pub fn has_cgroups(&self) -> bool {
        self.root.is_some()
    }

    /// Makes what freezes and thaws these programs.
    #[must_use]
    pub fn freezer(&self) -> Freezer {
        Freezer::new(self.root.clone())
    }

    /// Kills what is left in the leaves of this agent, whoever its leader was.
    pub fn kill_all(&self) {
        let Some(root) = &self.root else { return };
        for class in CLASSES {
            for entry in fs::read_dir(root.join(class)).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with(&self.prefix) {
                    let _ = leaf::kill(&entry.path());
                }
            }
        }
    }

    /// Lists the processes of a program but its leader: what is in its leaf, or what `/proc` shows to be related.
    ///
    /// Without a leaf, a process that leads a session of its own *and* lost its parent escapes: only cgroups hold those.
    #[must_use]
    pub fn family(&self, leader: u32, leaf: Option<&Leaf>) -> Vec<u32> {
        let mut family = leaf.map_or_else(|| relatives(leader), Leaf::members);
        family.retain(|&pid| pid != leader);
        family
    }

    /// Sends a signal to what [`Workload::family`] found; SIGKILL with a leaf is one atomic write that nothing escapes.
    pub fn signal_family(&self, family: &[u32], leaf: Option<&Leaf>, number: i32) {
        match leaf {
            Some(leaf) if number == libc::SIGKILL => {
                if let Err(error) = leaf.kill() {
                    tracing::warn!(%error, "cgroup.kill failed");
                }
            }
            _ => family.iter().for_each(|&pid| signal_pid(pid, number)),
        }
    }
}

/// Names tried for a leaf.
const PLACES_TRIED: usize = 1000;
/// The parents of all leaves.
const CLASSES: [&str; 4] = ["ptys", "user", "lifecycle", "socats"];

/// Sends a signal to a process by number; the caller knows that the number is not reused, or does not mind.
pub(super) fn signal_pid(pid: u32, number: i32) {
    let Ok(pid) = i32::try_from(pid) else { return };
    if pid > 1 {
        let _ =
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::try_from(number).ok());
    }
}

fn prepare(root: &Path) -> io::Result<()> {
    if statfs(root)?.filesystem_type() != CGROUP2_SUPER_MAGIC {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "not a cgroup v2 file system"));
    }
    let mem_total = crate::sys::memory::total();
    for class in CLASSES {
        let dir = root.join(class);
        match fs::create_dir(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        limits::apply(&dir, class, mem_total)?;
        sweep(&dir);
    }
    Ok(())
}

/// Removes the empty leaves of an agent that died. One that lives may be about to start a program in its own.
fn sweep(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if maker(&entry.file_name().to_string_lossy()).is_some_and(|pid| !is_another(pid)) {
            let _ = leaf::remove(&entry.path());
        }
    }
}

/// Reads the process id of the agent from the name of a leaf.
fn maker(name: &str) -> Option<u32> {
    name.strip_prefix("thawd-")?.split('-').next()?.parse().ok()
}

/// Says whether a process lives that is not this one.
fn is_another(pid: u32) -> bool {
    pid != std::process::id() && Path::new("/proc").join(pid.to_string()).exists()
}

/// Finds in `/proc` the leader and, again and again, whose parent, group or session one of them is.
fn relatives(leader: u32) -> Vec<u32> {
    let mut below = HashMap::<u32, Vec<u32>>::new();
    for stat in fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| stat(&entry.path())) {
        for above in [stat.parent, stat.group, stat.session] {
            below.entry(above).or_default().push(stat.pid);
        }
    }
    let mut family = HashSet::new();
    let mut queue = vec![leader];
    while let Some(pid) = queue.pop() {
        if family.insert(pid) {
            queue.extend(below.get(&pid).into_iter().flatten());
        }
    }
    family.into_iter().collect()
}

struct Stat {
    pid: u32,
    parent: u32,
    group: u32,
    session: u32,
}

/// Parses `/proc/PID/stat` (proc_pid_stat(5)); the name in parentheses may hold anything.
fn stat(dir: &Path) -> Option<Stat> {
    let pid = dir.file_name()?.to_str()?.parse().ok()?;
    let text = fs::read_to_string(dir.join("stat")).ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split(' ').skip(1).map(str::parse::<u32>);
    let mut next = || fields.next()?.ok();
    Some(Stat { pid, parent: next()?, group: next()?, session: next()? })
}
