//! The heap of the released binary: dlmalloc, which hands out first what was freed last.
//!
//! musl's own allocator goes round all of a size's places before it takes one again, so that a use after a free is
//! noticed. A handful of live objects then wanders over all pages of the heap, and each page is read from the snapshot
//! after a resume and written to the next one. It also maps and unmaps memory at nearly every request: 11 of the 83
//! system calls that a Start once took. `docs/performance.md` has the figures.
//!
//! The heap grows upwards (`Upwards`), as dlmalloc expects: what is new then goes to its open end.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dlmalloc::{Allocator, Dlmalloc};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Addresses above the heap that are free at its start, in bytes. The kernel hands out others from their far end.
const ROOM: usize = 1 << 30;

/// One heap for all threads, behind one lock: one thread does nearly everything here.
pub struct Heap(Mutex<Dlmalloc<Upwards>>);

/// Takes memory from the kernel, each piece behind the last one where there is room.
///
/// Left to itself the kernel puts each piece *before* the last one. dlmalloc then cuts what it was asked for from the
/// beginning of the piece and keeps the rest as a hole: of 64 KiB, a chunk of output of 32 KiB leaves one that is 32 bytes
/// too short for the next, and half of the heap is holes. Nor is there ever an end to give back.
struct Upwards {
    /// Where the next piece is wanted; 0 before the first.
    next: Cell<usize>,
}

impl Heap {
    /// Makes a heap that has no memory yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Dlmalloc::new_with_allocator(Upwards { next: Cell::new(0) })))
    }

    /// Gives free memory at the end of the heap back to the kernel, and whole parts of it that are free.
    pub fn trim(&self) {
        #[expect(unsafe_code, reason = "the allocator has no safe face")]
        // SAFETY: the lock is held, and only free memory is given back.
        let _ = unsafe { self.pool().trim(0) };
    }

    /// The standard lock neither allocates nor panics while it is taken.
    fn pool(&self) -> MutexGuard<'_, Dlmalloc<Upwards>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its nature")]
// SAFETY: every call is passed on as it is, under a lock, to one allocator with the same contract; it returns null
// where there is no memory, and does not unwind.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the callee's.
        unsafe { self.pool().malloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the callee's: this heap handed it out, with this layout.
        unsafe { self.pool().free(at, layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the callee's.
        unsafe { self.pool().calloc(layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise is the callee's: this heap handed it out, with this layout.
        unsafe { self.pool().realloc(at, layout.size(), layout.align(), size) }
    }
}

impl Upwards {
    /// Maps memory at `wanted` or, where that is taken, anywhere.
    fn map(wanted: usize, size: usize, access: ProtFlags) -> Option<*mut c_void> {
        let wanted = std::ptr::without_provenance_mut(wanted);
        #[expect(unsafe_code, reason = "a mapping has no safe face")]
        // SAFETY: new private memory; without MAP_FIXED no other mapping is touched, wherever it is wanted.
        unsafe { mmap_anonymous(wanted, size, access, MapFlags::PRIVATE) }.ok()
    }

    /// Gives memory back; says whether that worked.
    fn unmap(&self, at: *mut u8, size: usize) -> bool {
        #[expect(unsafe_code, reason = "a mapping has no safe face")]
        // SAFETY: the callers' promise: it is a part of what was mapped here, and nobody uses it any more.
        let unmapped = unsafe { munmap(at.cast(), size) }.is_ok();
        if unmapped && self.next.get() == at.addr() + size {
            self.next.set(at.addr());
        }
        unmapped
    }

    /// Finds room for the heap to grow into: a large mapping that is given up again.
    fn find_room(&self) {
        if let Some(room) = Self::map(0, ROOM, ProtFlags::empty()) {
            self.next.set(room.addr() + ROOM);
            self.unmap(room.cast(), ROOM);
        }
    }
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its nature")]
// SAFETY: what is handed out is fresh memory of the size that is told, and nobody else's; what dlmalloc gives back is a
// part of that, at its end or all of it, which it has told to be free.
unsafe impl Allocator for Upwards {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        if self.next.get() == 0 {
            self.find_room();
        }
        let Some(at) = Self::map(self.next.get(), size, ProtFlags::READ | ProtFlags::WRITE) else {
            return (null_mut(), 0, 0);
        };
        self.next.set(at.addr() + size);
        (at.cast(), size, 0)
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        null_mut()
    }

    fn free_part(&self, at: *mut u8, old: usize, new: usize) -> bool {
        self.unmap(at.wrapping_add(new), old - new)
    }

    fn free(&self, at: *mut u8, size: usize) -> bool {
        self.unmap(at, size)
    }

    fn can_release_part(&self, _: u32) -> bool {
        true
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
        size.and_then(|size| usize::try_from(size).ok()).unwrap_or(4096)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "what a global allocator's callers do")]
    fn blocks_of_half_a_piece_lie_side_by_side_and_go_back_to_the_kernel() {
        let heap = Heap::new();
        let layout = Layout::from_size_align(32 << 10, 1).unwrap();
        // SAFETY: the layout has a size.
        let blocks: Vec<_> = (0..200).map(|_| unsafe { heap.alloc(layout) }).collect();
        let (first, last) = (blocks.iter().min().unwrap().addr(), blocks.iter().max().unwrap().addr());
        assert!(last - first < 200 * ((32 << 10) + 64), "{first:x} {last:x}");
        for block in blocks {
            // SAFETY: this heap handed it out with this layout.
            unsafe { heap.dealloc(block, layout) };
        }
        heap.trim();
        let end = heap.pool().allocator().next.get();
        assert!(end <= first + (128 << 10), "{first:x} {end:x}");
    }

    #[test]
    #[expect(unsafe_code, reason = "what a global allocator's callers do")]
    fn what_is_handed_out_keeps_its_content_and_its_alignment() {
        let heap = Heap::new();
        let mut held = Vec::new();
        for round in 0..2000_usize {
            let layout = Layout::from_size_align(round * 37 % 5000 + 1, 1 << (round % 8)).unwrap();
            // SAFETY: the layout has a size; what is written lies within it.
            let at = unsafe { heap.alloc(layout) };
            assert_eq!(at.addr() % layout.align(), 0);
            unsafe { at.write_bytes(round.to_le_bytes()[0], layout.size()) };
            held.push((at, layout, round.to_le_bytes()[0]));
            if round % 3 == 0 {
                let (at, layout, mark) = held.swap_remove(round % held.len());
                let grown = Layout::from_size_align(layout.size() * 2, layout.align()).unwrap();
                // SAFETY: this heap handed it out with this layout, and it is used no more under the old address.
                let at = unsafe { heap.realloc(at, layout, grown.size()) };
                let kept = unsafe { std::slice::from_raw_parts(at, layout.size()) };
                assert!(kept.iter().all(|byte| *byte == mark) && at.addr() % grown.align() == 0);
                unsafe { heap.dealloc(at, grown) };
                heap.trim();
            }
        }
        for (at, layout, mark) in held {
            // SAFETY: this heap handed it out with this layout, and it was filled.
            let kept = unsafe { std::slice::from_raw_parts(at, layout.size()) };
            assert!(kept.iter().all(|byte| *byte == mark));
            unsafe { heap.dealloc(at, layout) };
        }
    }
}
