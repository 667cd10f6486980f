//! The heap of the released binary: dlmalloc, which hands out first what was freed last.
//!
//! musl's own allocator goes round all of a size's places before it takes one again, so that a use after a free is
//! noticed. A handful of live objects then wanders over all pages of the heap, and each page is read from the snapshot
//! after a resume and written to the next one. It also maps and unmaps memory at nearly every request: 11 of the 83
//! system calls that a Start once took. `docs/performance.md` has the figures.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dlmalloc::Dlmalloc;

/// One heap for all threads, behind one lock: one thread does nearly everything here.
pub struct Heap(Mutex<Dlmalloc>);

impl Heap {
    /// Makes a heap that has no memory yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Dlmalloc::new()))
    }

    /// Gives free memory at the end of the heap back to the kernel, and whole parts of it that are free.
    pub fn trim(&self) {
        #[expect(unsafe_code, reason = "the allocator has no safe face")]
        // SAFETY: the lock is held, and only free memory is given back.
        let _ = unsafe { self.pool().trim(0) };
    }

    /// The standard lock neither allocates nor panics while it is taken.
    fn pool(&self) -> MutexGuard<'_, Dlmalloc> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
