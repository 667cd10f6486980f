//! Who keeps a cgroup from standing still.

use std::fs;
use std::path::Path;

use super::cgroup::Walk;

/// Threads looked at before the search is given up: a freeze is waiting for the answer.
const SEARCHED: usize = 4096;
/// PF_KTHREAD of the kernel's `sched.h`, in the flags of `/proc/PID/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Describes a thread that does not stand still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Straggler {
    /// Number of the thread.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// As in `/proc/PID/stat`: D or R.
    pub state: char,
    /// The kernel function in which it waits; empty when it runs or the kernel does not tell.
    pub waits_in: String,
    /// Its cgroup, relative to the root.
    pub cgroup: String,
}

/// Adds the stragglers in a cgroup and below, until `found` has `limit`.
pub(super) fn search(root: &Path, cgroup: &Path, limit: usize, found: &mut Vec<Straggler>) {
    let mut left = SEARCHED;
    within(root, cgroup, limit, &mut left, found);
    for below in Walk::new(cgroup, super::MAX_CGROUPS) {
        within(root, &below, limit, &mut left, found);
    }
}

fn within(root: &Path, cgroup: &Path, limit: usize, left: &mut usize, found: &mut Vec<Straggler>) {
    let Ok(threads) = fs::read_to_string(cgroup.join("cgroup.threads")) else { return };
    for pid in threads.lines().filter_map(|line| line.parse().ok()) {
        if found.len() >= limit || *left == 0 {
            return;
        }
        *left -= 1;
        let proc = Path::new("/proc").join(format!("{pid}"));
        let Some(stat) = stat(&proc) else { continue };
        if matches!(stat.state, 'D' | 'R') {
            let waits_in = fs::read_to_string(proc.join("wchan")).unwrap_or_default();
            found.push(Straggler {
                pid,
                name: stat.name,
                state: stat.state,
                waits_in: if waits_in == "0" { String::new() } else { waits_in },
                cgroup: cgroup.strip_prefix(root).unwrap_or(cgroup).display().to_string(),
            });
        }
    }
}

/// Counts threads of programs in uninterruptible waits, in the whole machine; at most 4,096 are looked at.
#[must_use]
pub fn uninterruptible() -> usize {
    let numbers = |dir: &Path| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit)))
    };
    let programs = numbers(Path::new("/proc")).filter(|process| stat(process).is_some_and(|stat| !stat.kernel));
    let threads = programs.flat_map(|process| numbers(&process.join("task")));
    threads.take(SEARCHED).filter(|thread| stat(thread).is_some_and(|stat| stat.state == 'D')).count()
}

struct Stat {
    name: String,
    state: char,
    kernel: bool,
}

/// Parses `/proc/PID/stat` (proc_pid_stat(5)); the name in parentheses may hold anything.
fn stat(proc: &Path) -> Option<Stat> {
    let text = fs::read(proc.join("stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let (begin, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    // The flags are field 9, the state was field 3.
    let flags: u64 = fields.nth(5)?.parse().ok()?;
    Some(Stat { name: begin.split_once('(')?.1.to_owned(), state, kernel: flags & KERNEL_THREAD != 0 })
}
