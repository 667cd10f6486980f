//! Own memory into huge pages, so that a resume faults in few of them.
//!
//! envd needs this for a heap of many MiB that is scattered over the whole memory. Ours is small: on most days there
//! is not one whole window of 2 MiB to collapse, and the answer is all zeros.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use nix::unistd::{SysconfVar, sysconf};

use crate::sys::advise;
use crate::sys::memory::mapping;

/// Bytes of a huge page on x86-64 and on arm64 with pages of 4 KiB; other kernels refuse, and the window is skipped.
const WINDOW: usize = 2 << 20;
/// A window is collapsed when this part of its pages is in use: more would make us larger by up to 2 MiB for nothing.
const POPULATED: (usize, usize) = (3, 4);
/// Bytes of an entry in `/proc/PID/pagemap` (pagemap.rst).
const ENTRY: usize = 8;
/// The bit of such an entry that says that the page is in memory.
const PRESENT: u64 = 1 << 63;

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

/// Collapses own anonymous memory. Blocks, about 1 ms a window; `stop` is asked before each.
pub fn collapse(stop: impl Fn() -> bool) -> Collapsed {
    let began = Instant::now();
    let mut done = Collapsed::default();
    let regions = File::open("/proc/self/smaps").map(|file| regions(BufReader::new(file))).unwrap_or_default();
    if let Ok(pagemap) = File::open("/proc/self/pagemap") {
        for region in &regions {
            done.regions += 1;
            if !collapse_region(region, &pagemap, &stop, &mut done) {
                done.stopped = true;
                break;
            }
        }
    }
    done.elapsed = began.elapsed();
    done
}

/// Collapses the whole windows of one mapping; says whether to go on.
fn collapse_region(region: &Region, pagemap: &File, stop: &impl Fn() -> bool, done: &mut Collapsed) -> bool {
    // Each huge page is one window, is populated, and collapses without work.
    let mut huge = region.huge_bytes / WINDOW;
    let first = region.addresses.start.next_multiple_of(WINDOW);
    for start in (first..region.addresses.end.saturating_sub(WINDOW - 1)).step_by(WINDOW) {
        if stop() {
            return false;
        }
        done.chunks += 1;
        let gathered = populated(pagemap, start)
            && advise::allow_huge(start, WINDOW).is_ok()
            && advise::collapse(start, WINDOW).is_ok();
        match gathered {
            false => done.skipped += 1,
            true if huge > 0 => {
                huge -= 1;
                done.already_huge += 1;
            }
            true => done.collapsed += 1,
        }
    }
    true
}

/// Whether enough pages of a window are in memory.
fn populated(pagemap: &File, start: usize) -> bool {
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| usize::try_from(size).ok());
    let page = page.filter(|&page| page > 0).unwrap_or(4096);
    let mut entries = [0; WINDOW / 4096 * ENTRY];
    let entries = &mut entries[..WINDOW.div_ceil(page) * ENTRY];
    if pagemap.read_exact_at(entries, (start / page * ENTRY) as u64).is_err() {
        return false;
    }
    let pages = entries.len() / ENTRY;
    let (words, _) = entries.as_chunks::<ENTRY>();
    let present = words.iter().filter(|word| u64::from_ne_bytes(**word) & PRESENT != 0).count();
    present * POPULATED.1 >= pages * POPULATED.0
}

/// Holds a mapping that may be collapsed.
#[derive(Debug, PartialEq, Eq)]
struct Region {
    addresses: Range<usize>,
    huge_bytes: usize,
}

/// Reads the private, anonymous, writable mappings but stacks out of `smaps` (proc_pid_smaps(5)).
fn regions(mut smaps: impl BufRead) -> Vec<Region> {
    let mut regions = Vec::<Region>::new();
    let mut line = String::new();
    let mut ours = false;
    loop {
        line.clear();
        if smaps.read_line(&mut line).unwrap_or(0) == 0 {
            return regions;
        }
        if let Some(rest) = line.strip_prefix("AnonHugePages:") {
            let kib = rest.split_whitespace().next().and_then(|kib| kib.parse::<usize>().ok());
            if let Some(region) = regions.last_mut().filter(|_| ours) {
                region.huge_bytes = kib.unwrap_or(0) * 1024;
            }
        } else if let Some((addresses, rest)) = mapping(&line) {
            let mut words = rest.split_whitespace();
            let (access, inode, name) = (words.next(), words.nth(2), words.next().unwrap_or(""));
            ours = access == Some("rw-p")
                && inode == Some("0")
                && (name.is_empty() || name == "[heap]" || name.starts_with("[anon:"));
            if ours {
                regions.push(Region { addresses, huge_bytes: 0 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: usize = 6;

    fn resident_kib() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn full_windows_are_collapsed_once_and_hold_what_they_held() {
        let memory: Vec<u8> = (0..WINDOWS * WINDOW).map(|index| (index % 251) as u8).collect();
        let first = collapse(|| false);
        let second = collapse(|| false);
        if std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
            assert!(first.collapsed + first.already_huge >= WINDOWS - 2, "{first:?}");
            assert!(second.already_huge >= first.collapsed + first.already_huge, "{first:?} {second:?}");
        } else {
            assert_eq!((first.collapsed, first.already_huge), (0, 0));
        }
        assert_eq!(first.chunks, first.collapsed + first.already_huge + first.skipped);
        assert!(memory.iter().enumerate().all(|(index, byte)| *byte == (index % 251) as u8));
    }

    #[test]
    fn memory_that_is_hardly_used_does_not_grow() {
        let mut memory = vec![0u8; 64 * WINDOW];
        memory.iter_mut().step_by(WINDOW / 2).for_each(|byte| *byte = 1);
        let before = resident_kib();
        let done = collapse(|| false);
        let grown = resident_kib().saturating_sub(before);
        assert!(done.skipped >= 60 && grown < 2048, "{done:?}, grown by {grown} KiB");
        assert_eq!(memory.iter().map(|byte| usize::from(*byte)).sum::<usize>(), 128);
    }

    #[test]
    fn it_stops_when_told() {
        let memory = vec![1u8; 4 * WINDOW];
        let done = collapse(|| true);
        assert!(done.stopped && done.chunks == 0);
        drop(memory);
    }

    #[test]
    fn stacks_files_and_shared_memory_are_none_of_ours() {
        let smaps = "\
10000000-10800000 rw-p 00000000 00:00 0                          [heap]
Size:               8192 kB
AnonHugePages:      4096 kB
VmFlags: rd wr mr mw me ac
20000000-20400000 rw-p 00000000 00:00 0
AnonHugePages:         0 kB
30000000-30400000 rw-s 00000000 00:01 12                         /dev/zero (deleted)
AnonHugePages:      2048 kB
40000000-40400000 rw-p 00000000 fe:00 99                         /lib/x.so
50000000-50400000 r--p 00000000 00:00 0
7ffe0000-7fff0000 rw-p 00000000 00:00 0                          [stack]
";
        let wanted = [(0x1000_0000..0x1080_0000, 4 << 20), (0x2000_0000..0x2040_0000, 0)];
        let wanted = wanted.map(|(addresses, huge_bytes)| Region { addresses, huge_bytes });
        assert_eq!(regions(smaps.as_bytes()), wanted);
    }
}
