//! Memory before a snapshot: what there is, and how less of it is copied.

mod collapse;
mod figures;
mod reclaim;

pub use collapse::{Collapsed, collapse};
pub use figures::{Memory, figures};
pub use reclaim::{Reclaimed, drop_page_cache, reclaim};

/// Gives free heap back to the kernel; costs a few microseconds per arena.
pub fn trim() {
    crate::sys::memory::trim();
}
