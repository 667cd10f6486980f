//! The names in a directory, in byte order, in bounded memory.

use std::collections::BinaryHeap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::vec;

use rustix::fs::RawDir;

/// Names that are held at once: some 1.5 MiB. A directory with more is read again for each so many.
const WINDOW: usize = 32 << 10;
/// A huge directory has a window of this part of what came before it, so that reading it again and again takes no more
/// than so many times its length in all.
const REREADS: usize = 16;
/// Bytes of the directory per system call.
const BUFFER: usize = 32 << 10;

/// Hands out the names of a directory, but `.` and `..`, in byte order.
///
/// Each name that is there all the time comes once; one that comes or goes meanwhile may or may not come.
#[derive(Debug)]
pub(super) struct Names {
    /// Opened for each window: a deep tree would take more files than a process may have open.
    dir: PathBuf,
    window: vec::IntoIter<OsString>,
    /// The last name of the window, if there are more behind it.
    beyond: Option<OsString>,
    /// Names in all windows.
    seen: usize,
}

impl Names {
    /// Reads the first names of a directory.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let mut names = Self { dir: path.to_owned(), window: Vec::new().into_iter(), beyond: None, seen: 0 };
        names.fill(None, WINDOW)?;
        Ok(names)
    }

    /// Reads the directory once and keeps the first `most` names behind `last`.
    fn fill(&mut self, last: Option<&OsStr>, most: usize) -> io::Result<()> {
        let dir = File::open(&self.dir)?;
        let mut first = BinaryHeap::new();
        let mut more = false;
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut entries = RawDir::new(&dir, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") || last.is_some_and(|last| name <= last.as_bytes()) {
                continue;
            }
            if first.len() < most {
                first.push(name.to_vec());
                continue;
            }
            more = true;
            if let Some(mut greatest) = first.peek_mut()
                && name < &**greatest
            {
                greatest.clear();
                greatest.extend_from_slice(name);
            }
        }
        let names: Vec<_> = first.into_sorted_vec().into_iter().map(OsString::from_vec).collect();
        self.beyond = if more { names.last().cloned() } else { None };
        self.seen += names.len();
        self.window = names.into_iter();
        Ok(())
    }
}

impl Iterator for Names {
    type Item = OsString;

    /// A directory that cannot be read any more ends here.
    fn next(&mut self) -> Option<OsString> {
        if let Some(name) = self.window.next() {
            return Some(name);
        }
        let last = self.beyond.take()?;
        if let Err(error) = self.fill(Some(&last), WINDOW.max(self.seen / REREADS)) {
            tracing::debug!(%error, "the rest of a directory cannot be read");
        }
        self.window.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::scratch::Scratch;

    #[test]
    fn names_come_sorted_whatever_the_window() {
        let scratch = Scratch::new();
        let mut expected: Vec<_> = (0..300).map(|number| OsString::from(format!("{}", number * 7919 % 1000))).collect();
        expected.push(OsString::from_vec(b"\xff\x01".to_vec()));
        for name in &expected {
            std::fs::write(scratch.path().join(name), "").unwrap();
        }
        expected.sort_unstable();
        for window in [1, 2, 299, 300, 301, 302, 1000] {
            let mut names = Names::read(scratch.path()).unwrap();
            names.fill(None, window).unwrap();
            let mut found = Vec::new();
            loop {
                found.extend(names.window.by_ref());
                let Some(last) = names.beyond.take() else { break };
                names.fill(Some(&last), window).unwrap();
            }
            assert_eq!(found, expected, "{window}");
        }
        assert!(Names::read(scratch.path()).unwrap().eq(expected));
    }

    #[test]
    fn a_directory_of_more_than_a_window_is_whole() {
        let scratch = Scratch::new();
        for number in 0..=WINDOW {
            std::fs::write(scratch.path().join(format!("{number:06}")), "").unwrap();
        }
        let found: Vec<_> = Names::read(scratch.path()).unwrap().collect();
        assert_eq!(found.len(), WINDOW + 1);
        assert!(found.is_sorted());
    }
}
