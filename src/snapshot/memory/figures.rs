//! How much memory a snapshot would hold, and what would make a freeze slow.

use std::fs;

/// Filesystems whose server is another machine: waits for them can be long, and cannot be ended.
const NETWORK: [&str; 10] =
    ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "glusterfs", "fuse.glusterfs", "fuse.sshfs"];

/// Figures of the whole machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Not yet on disk, in KiB.
    pub dirty_kib: u64,
    /// Page cache that could be dropped once it is clean, in KiB.
    pub cache_kib: u64,
    /// Of programs, in KiB; shared memory and tmpfs included.
    pub anonymous_kib: u64,
    /// Unused, in KiB.
    pub free_kib: u64,
    /// All, in KiB.
    pub total_kib: u64,
    /// Threads of programs in uninterruptible waits.
    pub uninterruptible: usize,
    /// Mounts whose server is another machine.
    pub network_mounts: usize,
}

/// Takes the figures; what cannot be read is 0. Reads a file per thread of the machine, at most 4,096.
#[must_use]
pub fn figures() -> Memory {
    let mut memory = from_meminfo(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
    memory.uninterruptible = crate::workload::uninterruptible();
    memory.network_mounts = network_mounts(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default());
    memory
}

/// Reads `/proc/meminfo` (proc_meminfo(5)). `Cached` counts shared memory too, which cannot be dropped.
fn from_meminfo(text: &str) -> Memory {
    let value = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    let shared = value("Shmem");
    Memory {
        dirty_kib: value("Dirty") + value("Writeback"),
        cache_kib: (value("Cached") + value("Buffers")).saturating_sub(shared),
        anonymous_kib: value("AnonPages") + shared,
        free_kib: value("MemFree"),
        total_kib: value("MemTotal"),
        ..Memory::default()
    }
}

/// Counts in `mountinfo` (proc_pid_mountinfo(5)): the type is the first word after a lone hyphen.
fn network_mounts(mountinfo: &str) -> usize {
    let types = mountinfo.lines().filter_map(|line| line.split_once(" - ")?.1.split(' ').next());
    types.filter(|kind| NETWORK.contains(kind)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_memory_is_no_cache() {
        let text = "MemTotal: 1000 kB\nMemFree: 400 kB\nBuffers: 10 kB\nCached: 300 kB\nSwapCached: 7 kB\n\
                    Dirty: 5 kB\nWriteback: 2 kB\nAnonPages: 200 kB\nShmem: 60 kB\nShmemHugePages: 9 kB\n";
        let wanted = Memory {
            dirty_kib: 7,
            cache_kib: 250,
            anonymous_kib: 260,
            free_kib: 400,
            total_kib: 1000,
            ..Memory::default()
        };
        assert_eq!(from_meminfo(text), wanted);
    }

    #[test]
    fn mounts_of_other_machines_are_counted_by_their_type() {
        let text = "36 35 98:0 / /nfs rw,noatime master:1 - ext4 /dev/root rw\n\
                    37 35 0:50 / /v rw shared:1 - nfs 10.0.0.1:/x rw,vers=3\n\
                    38 35 0:51 / /w rw - fuse.sshfs a:/b rw\n";
        assert_eq!(network_mounts(text), 2);
    }

    #[test]
    fn this_machine_has_memory() {
        let memory = figures();
        assert!(memory.free_kib > 0 && memory.total_kib > memory.free_kib, "{memory:?}");
    }
}
