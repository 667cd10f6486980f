//! The heap of the released binary: dlmalloc, which hands out first what was freed last.
//!
//! musl's own allocator goes round all of a size's places before it takes one again, so that a use after a free is
//! noticed. A handful of live objects then wanders over all pages of the heap, and each page is read from the snapshot
//! after a resume and written to the next one. It also maps and unmaps memory at nearly every request: 11 of the 83
//! system calls that a Start once took. `docs/performance.md` has the figures.
//!
//! What the start makes stays for good, and what it frees leaves holes in between. A request that is served from these
//! holes touches a page for each of its objects. So the start has a part of its own, and when it is over
//! ([`Heap::settle`]) everything new comes from another one, where it lies together.
//!
//! - `early` the memory of the start's part; `upwards` that of the other, which grows as dlmalloc expects: what is new
//!   goes to its open end

mod early;
mod upwards;

use std::alloc::{GlobalAlloc, Layout};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dlmalloc::Dlmalloc;

use early::{Reserve, is_early};
use upwards::Upwards;

/// One heap for all threads, behind one lock: one thread does nearly everything here.
pub struct Heap(Mutex<Parts>);

struct Parts {
    start: Dlmalloc<Reserve>,
    work: Dlmalloc<Upwards>,
    settled: bool,
}

impl Heap {
    /// Makes a heap that has no memory yet.
    #[must_use]
    pub const fn new() -> Self {
        let (start, work) = (Dlmalloc::new_with_allocator(Reserve), Dlmalloc::new_with_allocator(Upwards::new()));
        Self(Mutex::new(Parts { start, work, settled: false }))
    }

    /// Ends the start.
    pub fn settle(&self) {
        self.parts().settled = true;
    }

    /// Gives free memory at the end of the heap back to the kernel, and whole parts of it that are free.
    pub fn trim(&self) {
        #[expect(unsafe_code, reason = "the allocator has no safe face")]
        // SAFETY: the lock is held, and only free memory is given back.
        let _ = unsafe { self.parts().work.trim(0) };
    }

    /// The standard lock neither allocates nor panics while it is taken.
    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its nature")]
impl Parts {
    // SAFETY: to be called as `GlobalAlloc::alloc`, or `alloc_zeroed` if `zeroed`.
    unsafe fn alloc(&mut self, layout: Layout, zeroed: bool) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: the caller's promise is the callees', whose contract is the same.
        unsafe {
            let early = match (self.settled, zeroed) {
                (true, _) => std::ptr::null_mut(),
                (false, true) => self.start.calloc(size, align),
                (false, false) => self.start.malloc(size, align),
            };
            match zeroed {
                _ if !early.is_null() => early,
                true => self.work.calloc(size, align),
                false => self.work.malloc(size, align),
            }
        }
    }

    // SAFETY: to be called as `GlobalAlloc::dealloc`.
    unsafe fn dealloc(&mut self, at: *mut u8, layout: Layout) {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: the caller's promise is the callee's: the part that the address lies in handed it out.
        unsafe { if is_early(at) { self.start.free(at, size, align) } else { self.work.free(at, size, align) } }
    }

    // SAFETY: to be called as `GlobalAlloc::realloc`.
    unsafe fn realloc(&mut self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise is the callees'. The new place does not overlap the old one, and both have as many
        // bytes as are copied.
        unsafe {
            if !is_early(at) {
                return self.work.realloc(at, layout.size(), layout.align(), size);
            }
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()), false);
            if !moved.is_null() {
                at.copy_to_nonoverlapping(moved, layout.size().min(size));
                self.dealloc(at, layout);
            }
            moved
        }
    }
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its nature")]
// SAFETY: every call is passed on under a lock to the part that the memory is of, an allocator with the same contract;
// it returns null where there is no memory, and does not unwind.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the callee's.
        unsafe { self.parts().alloc(layout, false) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the callee's.
        unsafe { self.parts().dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the callee's.
        unsafe { self.parts().alloc(layout, true) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise is the callee's.
        unsafe { self.parts().realloc(at, layout, size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "what a global allocator's callers do")]
    fn blocks_of_half_a_piece_lie_side_by_side_and_go_back_to_the_kernel() {
        let heap = Heap::new();
        heap.settle();
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
        let end = heap.parts().work.allocator().end();
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
            if round == 1000 {
                heap.settle();
            }
        }
        for (at, layout, mark) in held {
            // SAFETY: this heap handed it out with this layout, and it was filled.
            let kept = unsafe { std::slice::from_raw_parts(at, layout.size()) };
            assert!(kept.iter().all(|byte| *byte == mark));
            unsafe { heap.dealloc(at, layout) };
        }
    }

    #[test]
    #[expect(unsafe_code, reason = "what a global allocator's callers do")]
    fn what_the_start_made_lies_apart_and_may_grow_and_go_later() {
        let heap = Heap::new();
        let layout = Layout::from_size_align(100, 8).unwrap();
        // SAFETY: the layout has a size; what is written and read lies within it; each place is given back once.
        unsafe {
            let (early, large) = (heap.alloc(layout), heap.alloc(Layout::from_size_align(4 << 20, 8).unwrap()));
            assert!(is_early(early) && !is_early(large));
            early.write_bytes(7, 100);
            heap.settle();
            let late = heap.alloc_zeroed(layout);
            assert!(!is_early(late) && *late == 0);
            let grown = heap.realloc(early, layout, 200);
            assert!(!is_early(grown) && std::slice::from_raw_parts(grown, 100) == [7; 100]);
            heap.dealloc(grown, Layout::from_size_align(200, 8).unwrap());
            heap.dealloc(late, layout);
            heap.dealloc(large, Layout::from_size_align(4 << 20, 8).unwrap());
        }
    }
}
