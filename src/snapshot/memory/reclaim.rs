//! Taking memory from the workload before it is copied.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes asked for at once: small enough to stop soon, some 50 ms on a slow disk.
const STEP: u64 = 64 << 20;

/// Says what a reclaim did, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// Used by the workload before.
    pub before: u64,
    /// Used by it after.
    pub after: u64,
    /// A cgroup has no `memory.reclaim` (Linux 5.19), or no memory controller.
    pub unsupported: bool,
    /// It was told to stop.
    pub stopped: bool,
}

/// Takes memory from `cgroups` until they use `target` bytes together, or the kernel gives no more. Takes from the
/// largest first, and never more in all than was too much at the start: what programs use meanwhile is left to them.
/// Blocks; `stop` is asked between steps of 64 MiB.
pub fn reclaim(cgroups: &[PathBuf], target: u64, stop: impl Fn() -> bool) -> Reclaimed {
    let mut open: Vec<&Path> = cgroups.iter().map(PathBuf::as_path).collect();
    let mut done = Reclaimed { unsupported: open.iter().any(|cgroup| used(cgroup).is_none()), ..Reclaimed::default() };
    open.retain(|cgroup| used(cgroup).is_some());
    done.before = total(cgroups);
    let mut excess = done.before.saturating_sub(target);
    while excess > 0 {
        let Some((index, largest)) = largest(&open) else { break };
        if stop() {
            done.stopped = true;
            break;
        }
        let step = excess.min(STEP).min(largest);
        match ask(open[index], step) {
            Ok(()) => excess -= step,
            // EAGAIN: it gave some and has no more.
            Err(error) => {
                done.unsupported |= error.kind() == io::ErrorKind::NotFound;
                open.swap_remove(index);
            }
        }
    }
    done.after = total(cgroups);
    done
}

/// Drops clean page cache, and only that: names of files stay cached, so that the next start is not slower than it
/// must be. Dirty pages stay, so write them back first. Blocks.
///
/// # Errors
/// What the kernel said: no right, or no such file.
pub fn drop_page_cache() -> io::Result<()> {
    OpenOptions::new().write(true).open("/proc/sys/vm/drop_caches")?.write_all(b"1")
}

/// Finds the cgroup that uses most; `None` when none uses anything.
fn largest(cgroups: &[&Path]) -> Option<(usize, u64)> {
    let sizes = cgroups.iter().map(|cgroup| used(cgroup).unwrap_or(0)).enumerate();
    sizes.max_by_key(|(_, size)| *size).filter(|(_, size)| *size > 0)
}

fn ask(cgroup: &Path, bytes: u64) -> io::Result<()> {
    OpenOptions::new().write(true).open(cgroup.join("memory.reclaim"))?.write_all(bytes.to_string().as_bytes())
}

fn used(cgroup: &Path) -> Option<u64> {
    fs::read_to_string(cgroup.join("memory.current")).ok()?.trim().parse().ok()
}

fn total(cgroups: &[PathBuf]) -> u64 {
    cgroups.iter().filter_map(|cgroup| used(cgroup)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes what looks like two cgroups; asked for memory, they give none and do not say so.
    fn cgroups(name: &str, sizes: [u64; 2]) -> [PathBuf; 2] {
        let root = std::env::temp_dir().join(format!("thawd-reclaim-{}-{name}", std::process::id()));
        [0, 1].map(|index| {
            let cgroup = root.join(index.to_string());
            fs::create_dir_all(&cgroup).unwrap();
            fs::write(cgroup.join("memory.current"), format!("{}\n", sizes[index])).unwrap();
            fs::write(cgroup.join("memory.reclaim"), "").unwrap();
            cgroup
        })
    }

    fn remove(cgroups: &[PathBuf; 2]) {
        fs::remove_dir_all(cgroups[0].parent().unwrap()).unwrap();
    }

    #[test]
    fn the_largest_is_asked_first_for_what_is_too_much() {
        let cgroups = cgroups("largest", [10 << 20, 30 << 20]);
        let done = reclaim(&cgroups, 15 << 20, || false);
        assert_eq!((done.before, done.unsupported, done.stopped), (40 << 20, false, false));
        assert_eq!(fs::read_to_string(cgroups[1].join("memory.reclaim")).unwrap(), (25 << 20).to_string());
        assert_eq!(fs::read_to_string(cgroups[0].join("memory.reclaim")).unwrap(), "");
        remove(&cgroups);
    }

    #[test]
    fn nothing_is_taken_from_a_workload_below_its_target() {
        let cgroups = cgroups("below", [1 << 20, 2 << 20]);
        assert_eq!(reclaim(&cgroups, 3 << 20, || false).after, 3 << 20);
        assert_eq!(fs::read_to_string(cgroups[1].join("memory.reclaim")).unwrap(), "");
        remove(&cgroups);
    }

    #[test]
    fn kernels_that_cannot_reclaim_are_told() {
        let cgroups = cgroups("old", [4 << 20, 2 << 20]);
        fs::remove_file(cgroups[0].join("memory.reclaim")).unwrap();
        fs::remove_file(cgroups[1].join("memory.current")).unwrap();
        assert!(reclaim(&cgroups, 0, || false).unsupported);
        remove(&cgroups);
    }

    #[test]
    fn it_stops_when_told() {
        let cgroups = cgroups("stop", [1 << 20, 2 << 20]);
        let done = reclaim(&cgroups, 0, || true);
        assert!(done.stopped && fs::read_to_string(cgroups[1].join("memory.reclaim")).unwrap().is_empty());
        remove(&cgroups);
    }
}
