//! How much memory the machine has, and giving back what we do not use.

use std::ops::Range;

/// Gives `MemTotal` in bytes (sysinfo(2), which cannot fail with a valid pointer).
#[must_use]
pub fn total() -> u64 {
    let info = rustix::system::sysinfo();
    #[allow(clippy::useless_conversion, reason = "the field's width differs by architecture")]
    let units = u64::from(info.totalram);
    units * u64::from(info.mem_unit)
}

/// The heap of a binary for musl; with another C library it is that library's.
#[cfg(target_env = "musl")]
#[global_allocator]
static HEAP: super::heap::Heap = super::heap::Heap::new();

/// Granularity of mappings; where pages are larger, the kernel refuses what is not aligned and nothing is lost.
const PAGE: usize = 4096;
/// Below the caller's frame the calls of [`trim`] itself are still in use.
const STACK_IN_USE: usize = 16 << 10;

/// Gives free memory back to the kernel: of the heap, and of the first thread's stack what lies below its deepest call
/// now. It would be in every snapshot.
pub fn trim() {
    trim_heap();
    let maps = maps();
    let here = (&raw const maps).addr();
    if let Some((stack, _)) = around(&maps, here).filter(|(_, rest)| rest.ends_with("[stack]")) {
        drop_pages(stack.start..(here & !(PAGE - 1)).saturating_sub(STACK_IN_USE));
    }
}

/// Gives back what only the start needed: besides what [`trim`] does, the places of code, which the page cache keeps
/// and maps again where it runs. The heap begins a new part.
pub fn settle() {
    trim();
    #[cfg(target_env = "musl")]
    HEAP.settle();
    let here = (settle as fn() as *const ()).addr();
    if let Some((code, _)) = around(&maps(), here).filter(|(_, rest)| rest.starts_with("r-xp ")) {
        drop_pages(code);
    }
}

/// Gives free memory of the heap back to the kernel; for one who freed much of it at once.
pub fn trim_heap() {
    #[cfg(target_env = "musl")]
    HEAP.trim();
    #[cfg(target_env = "gnu")]
    {
        #[expect(unsafe_code, reason = "no safe wrapper")]
        // SAFETY: malloc_trim(3) takes a number, locks the heap itself and moves nothing that is in use.
        let _ = unsafe { nix::libc::malloc_trim(0) };
    }
}

fn maps() -> String {
    std::fs::read_to_string("/proc/self/maps").unwrap_or_default()
}

/// Finds the mapping that an address lies in.
fn around(maps: &str, address: usize) -> Option<(Range<usize>, &str)> {
    maps.lines().filter_map(mapping).find(|(range, _)| range.contains(&address))
}

/// Reads a line of /proc/PID/maps, or the first one of a mapping in smaps (proc_pid_maps(5)): its addresses, and the
/// rest. `None` for other lines.
#[must_use]
pub fn mapping(line: &str) -> Option<(Range<usize>, &str)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    Some((usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?, rest))
}

fn drop_pages(Range { start, end }: Range<usize>) {
    if start < end {
        let start = std::ptr::without_provenance_mut(start);
        #[expect(unsafe_code, reason = "there is no safe way to give memory back")]
        // SAFETY: the range is either code, a private mapping that cannot be written and so reads the same from its
        // file again, or stack more than STACK_IN_USE below a live frame, which holds nothing.
        let _ = unsafe { nix::libc::madvise(start, end - start.addr(), nix::libc::MADV_DONTNEED) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_goes_on() {
        let deep: u64 = dig(500);
        settle();
        assert_eq!(dig(500), deep);
    }

    fn dig(depth: u64) -> u64 {
        let frame = std::hint::black_box([depth; 64]);
        if depth == 0 { frame[0] } else { frame[63] + dig(depth - 1) }
    }

    #[test]
    fn lines_of_the_table_of_mappings_are_understood() {
        let line = "00401000-007cd000 r-xp 00001000 fe:00 5398640                            /usr/bin/thawd";
        let (range, rest) = mapping(line).unwrap();
        assert_eq!((range.start, range.end), (0x40_1000, 0x7c_d000));
        assert!(rest.starts_with("r-xp "));
        assert!(mapping("").is_none() && mapping("x-y z").is_none());
    }
}
