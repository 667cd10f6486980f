//! How much memory a snapshot would hold, and what would make a freeze slow.

/// Figures of the whole machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Not yet on disk, in KiB.
    pub dirty_kib: u64,
    /// Page cache that could be dropped once it is clean, in KiB.
    pub cache_kib: u64,
    /// Of programs, in KiB; shared memory included.
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

/// Takes the figures; what cannot be read is 0.
#[must_use]
pub fn figures() -> Memory {
    Memory::default()
}
