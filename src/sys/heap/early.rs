//! Memory for what is made while the agent starts.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

use dlmalloc::Allocator;

/// Bytes that the start may take: three times what it takes. What does not fit comes from the other part.
const START: usize = 1 << 20;
/// What dlmalloc rounds to; it asks for 64 KiB at a time in any case.
const PAGE: usize = 4096;

/// The memory of the start's part, which is known by its address.
#[repr(align(4096))]
struct Region(UnsafeCell<[MaybeUninit<u8>; START]>);

#[expect(unsafe_code, reason = "memory that is handed out in pieces")]
// SAFETY: nobody reads or writes it by this name; each piece belongs to whom it was handed to.
unsafe impl Sync for Region {}

static REGION: Region = Region(UnsafeCell::new([MaybeUninit::uninit(); START]));
/// Bytes of it that were handed out.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Says whether memory is of the start's part.
pub(super) fn is_early(at: *mut u8) -> bool {
    at.addr().wrapping_sub(REGION.0.get().addr()) < START
}

/// Hands [`REGION`] out from its front, each byte once.
pub(super) struct Reserve;

#[expect(unsafe_code, reason = "an allocator is unsafe by its nature")]
// SAFETY: each call hands out bytes that were not handed out before, and that nothing else uses.
unsafe impl Allocator for Reserve {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let behind = |at: usize| at.checked_add(size).filter(|end| *end <= START);
        match TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, behind) {
            // SAFETY: `at` lies within the region.
            Ok(at) => (unsafe { REGION.0.get().cast::<u8>().add(at) }, size, 0),
            Err(_) => (null_mut(), 0, 0),
        }
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        PAGE
    }
}
