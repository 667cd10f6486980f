//! Advice about memory that changes where it lies and never what it holds (madvise(2)).

use std::io;

use nix::libc::{MADV_HUGEPAGE, c_int, c_void, madvise};

/// Gather the pages of a range into a huge page now (Linux 6.1); libc for musl does not know it.
const MADV_COLLAPSE: c_int = 25;

/// Allows huge pages in a range.
///
/// # Errors
/// EINVAL where the kernel has none, ENOMEM where nothing is mapped.
pub fn allow_huge(start: usize, length: usize) -> io::Result<()> {
    advise(start, length, MADV_HUGEPAGE)
}

/// Gathers the pages of a range into huge pages; holes become zero pages of their own.
///
/// # Errors
/// EINVAL where the kernel cannot (older than 6.1) or the mapping is of another kind, EAGAIN, EBUSY and ENOMEM where
/// it cannot now.
pub fn collapse(start: usize, length: usize) -> io::Result<()> {
    advise(start, length, MADV_COLLAPSE)
}

fn advise(start: usize, length: usize, advice: c_int) -> io::Result<()> {
    #[expect(unsafe_code, reason = "the safe wrappers do not know the advice")]
    // SAFETY: neither advice changes what any address reads as, so the range may be anybody's; the kernel checks it.
    let result = unsafe { madvise(std::ptr::without_provenance_mut::<c_void>(start), length, advice) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
