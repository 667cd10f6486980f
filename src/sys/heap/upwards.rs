//! Memory for a heap that grows at its end.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use dlmalloc::Allocator;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Addresses above the heap that are free at its start, in bytes. The kernel hands out others from their far end.
const ROOM: usize = 1 << 30;

/// Takes memory from the kernel, each piece behind the last one where there is room.
///
/// Left to itself the kernel puts each piece *before* the last one. dlmalloc then cuts what it was asked for from the
/// beginning of the piece and keeps the rest as a hole: of 64 KiB, a chunk of output of 32 KiB leaves one that is 32 bytes
/// too short for the next, and half of the heap is holes. Nor is there ever an end to give back.
pub(super) struct Upwards {
    /// Where the next piece is wanted; 0 before the first.
    next: Cell<usize>,
}

impl Upwards {
    pub(super) const fn new() -> Self {
        Self { next: Cell::new(0) }
    }

    /// Where the heap ends.
    #[cfg(test)]
    pub(super) fn end(&self) -> usize {
        self.next.get()
    }

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
