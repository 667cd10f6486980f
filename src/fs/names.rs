//! The names in a directory, in byte order, in bounded memory.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::RawDir;

use crate::sys::memory;

/// Bytes of names that are held at once, each with its place: some 100,000 short names. A directory with more is read
/// again for each so many.
const WINDOW: usize = 2 << 20;
/// From this length on a window gets its memory at once, and gives it back to the kernel: grown by and by, it would leave
/// pieces of all sizes in the heap.
const LARGE: usize = 64 << 10;
/// A huge directory has a window of this part of what came before it, so that reading it again and again takes no more
/// than so many times its length in all, for each time that the length is multiplied by e.
const REREADS: usize = 8;
/// Bytes of the directory per system call.
const BUFFER: usize = 32 << 10;

/// Hands out the names of a directory, but `.` and `..`, in byte order.
///
/// Each name that is there all the time comes once; one that comes or goes meanwhile may or may not come.
#[derive(Debug)]
pub(super) struct Names {
    /// Opened for each window: a deep tree would take more files than a process may have open.
    dir: PathBuf,
    window: Window,
    /// Names of the window that were handed out.
    given: usize,
    /// There are more behind the window.
    more: bool,
    /// Bytes in all windows.
    seen: usize,
}

/// The least of the names that it is shown, side by side: an allocation for each took three times the memory.
#[derive(Debug, Default)]
struct Window {
    text: Vec<u8>,
    names: Vec<Name>,
}

/// Where a name lies in the text.
#[derive(Clone, Copy, Debug)]
struct Name {
    start: u32,
    length: u8,
}

impl Names {
    /// Reads the first names of a directory.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let window = Window::default();
        let mut names = Self { dir: path.to_owned(), window, given: 0, more: false, seen: 0 };
        names.fill(WINDOW)?;
        Ok(names)
    }

    /// Gives the next name. A directory that cannot be read any more ends here.
    pub(super) fn next(&mut self) -> Option<&OsStr> {
        if self.given == self.window.names.len() && self.more {
            self.more = false;
            if let Err(error) = self.fill(WINDOW.max(self.seen / REREADS)) {
                tracing::debug!(%error, "the rest of a directory cannot be read");
                self.window = Window::default();
                self.given = 0;
            }
        }
        let name = *self.window.names.get(self.given)?;
        self.given += 1;
        Some(OsStr::from_bytes(self.window.text(name)))
    }

    /// Reads the directory once and keeps the first names behind the last one of the window, `most` bytes of them.
    fn fill(&mut self, most: usize) -> io::Result<()> {
        let last = self.window.names.last().map(|name| self.window.text(*name).to_vec());
        self.window.clear();
        self.given = 0;
        let dir = File::open(&self.dir)?;
        // Names from here on are for later windows.
        let mut end: Option<Vec<u8>> = None;
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut entries = RawDir::new(&dir, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") || last.as_deref().is_some_and(|last| name <= last) {
                continue;
            }
            if end.as_deref().is_some_and(|end| name >= end) {
                continue;
            }
            self.window.push(name, most);
            if self.window.bytes() > most {
                end = self.window.shrink().or(end);
            }
        }
        self.more = end.is_some();
        self.window.sort();
        self.seen += self.window.bytes();
        Ok(())
    }
}

impl Window {
    fn text(&self, name: Name) -> &[u8] {
        name.of(&self.text)
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.names.len() * size_of::<Name>()
    }

    fn clear(&mut self) {
        self.text.clear();
        self.names.clear();
    }

    fn push(&mut self, name: &[u8], most: usize) {
        if self.text.len() > LARGE && self.text.capacity() < most {
            self.text.reserve_exact(most - self.text.len());
            self.names.reserve_exact((most / (2 * size_of::<Name>())).saturating_sub(self.names.len()));
        }
        // No filesystem has longer names (NAME_MAX, limits.h), and no window is so large.
        let (Ok(start), Ok(length)) = (u32::try_from(self.text.len()), u8::try_from(name.len())) else { return };
        self.names.push(Name { start, length });
        self.text.extend_from_slice(name);
    }

    /// Drops the greatest quarter of the names, but for the very least one; gives the least that was dropped.
    ///
    /// With a quarter, this is done a dozen times where the directory is ten times the window, in any order but the
    /// worst, and costs a third of the reading.
    fn shrink(&mut self) -> Option<Vec<u8>> {
        let keep = (self.names.len() - self.names.len().div_ceil(4)).max(1);
        if keep == self.names.len() {
            return None;
        }
        let text = &self.text;
        let (_, least, _) = self.names.select_nth_unstable_by(keep, |one, other| one.of(text).cmp(other.of(text)));
        let least = least.of(text).to_vec();
        self.names.truncate(keep);
        // What is left moves together, front to back.
        self.names.sort_unstable_by_key(|name| name.start);
        let mut end = 0_u32;
        for name in &mut self.names {
            self.text.copy_within(name.range(), end as usize);
            name.start = end;
            end += u32::from(name.length);
        }
        self.text.truncate(end as usize);
        Some(least)
    }

    fn sort(&mut self) {
        let text = &self.text;
        self.names.sort_unstable_by(|one, other| one.of(text).cmp(other.of(text)));
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        if self.text.capacity() > 2 * LARGE {
            (self.text, self.names) = (Vec::new(), Vec::new());
            memory::trim_heap();
        }
    }
}

impl Name {
    fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + usize::from(self.length)
    }

    fn of(self, text: &[u8]) -> &[u8] {
        &text[self.range()]
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::*;
    use crate::fs::scratch::Scratch;

    fn all(mut names: Names) -> Vec<OsString> {
        std::iter::from_fn(|| names.next().map(OsStr::to_owned)).collect()
    }

    #[test]
    fn names_come_sorted_whatever_the_window() {
        let scratch = Scratch::new();
        let mut expected: Vec<_> = (0..300).map(|number| OsString::from(format!("{}", number * 7919 % 1000))).collect();
        expected.push(OsString::from_vec(b"\xff\x01".to_vec()));
        expected.push(OsString::from("9".repeat(255)));
        for name in &expected {
            std::fs::write(scratch.path().join(name), "").unwrap();
        }
        expected.sort_unstable();
        let each = size_of::<Name>() + 3;
        for window in [0, 1, each, 2 * each, 299 * each, 300 * each, 302 * each, 400 * each, 1 << 20] {
            let mut names = Names::read(scratch.path()).unwrap();
            names.window.clear();
            let mut found = Vec::new();
            names.more = true;
            while names.more {
                names.fill(window).unwrap();
                assert!(names.window.names.len() == 1 || names.window.bytes() <= window, "{window}");
                found.extend(
                    names.window.names.iter().map(|name| OsStr::from_bytes(names.window.text(*name)).to_owned()),
                );
            }
            assert_eq!(found, expected, "{window}");
        }
        assert_eq!(all(Names::read(scratch.path()).unwrap()), expected);
    }

    #[test]
    fn what_is_kept_is_the_least_in_whatever_order_names_come() {
        let name = |number: u32| format!("{number:05}").into_bytes();
        for order in [|number| number, |number| 9999 - number, |number| number * 7919 % 10_000] {
            let (mut window, mut end) = (Window::default(), None);
            for name in (0..10_000).map(order).map(name) {
                if end.as_ref().is_none_or(|end| name < *end) {
                    window.push(&name, 0);
                    if window.names.len() > 1000 {
                        end = window.shrink().or(end);
                    }
                }
            }
            window.sort();
            let kept: Vec<_> = window.names.iter().map(|name| window.text(*name).to_vec()).collect();
            assert!(kept.len() >= 750);
            assert!(kept.iter().cloned().eq((0..).take(kept.len()).map(name)));
            assert_eq!(window.text.len(), kept.len() * 5, "nothing is left of those that were dropped");
        }
    }

    #[test]
    fn a_directory_of_more_than_a_window_is_whole() {
        let scratch = Scratch::new();
        let count = WINDOW / (200 + size_of::<Name>()) + 1;
        for number in 0..count {
            std::fs::write(scratch.path().join(format!("{number:0200}")), "").unwrap();
        }
        let names = Names::read(scratch.path()).unwrap();
        assert!(names.more);
        let found = all(names);
        assert_eq!(found.len(), count);
        assert!(found.is_sorted());
    }
}
