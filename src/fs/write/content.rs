//! The bytes of an upload on their way to their place.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use nix::libc;

use super::error::is_full;
use super::place;
use crate::identity::User;
use crate::sys::file;

/// Holds what was received so far in a file that has no name.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    length: u64,
    /// Bytes that the file may take.
    most: u64,
    /// Whether it can get a name in the target's directory.
    pub(super) linkable: bool,
    /// The directory that it is for, or an ancestor on the same file system.
    near: PathBuf,
    /// Whether to move elsewhere when the target's file system is full.
    flees: bool,
}

/// Holds a whole upload.
#[derive(Debug)]
pub(super) enum Content {
    /// Small enough to stay in memory.
    Memory(Bytes),
    /// In a file without a name.
    Spool(Spool),
}

impl Spool {
    /// Opens a spool for a target in `near`, owned by `user` already.
    ///
    /// With `flees`, for a target whose own blocks will hold the content, a full file system is no failure: the spool
    /// then moves to another one.
    pub(super) fn open(near: &Path, user: &User, flees: bool) -> io::Result<Self> {
        match Self::open_linkable(near, user) {
            Ok(Some(spool)) => Ok(Self { flees, ..spool }),
            Err(error) if !(flees && is_full(&error)) => Err(error),
            _ => Self::open_elsewhere(near),
        }
    }

    /// Opens a spool that can get a name in `near`; `None` where that cannot be.
    pub(super) fn open_linkable(near: &Path, user: &User) -> io::Result<Option<Self>> {
        let Some(file) = place::unnamed(near)? else {
            return Ok(None);
        };
        std::os::unix::fs::fchown(&file, Some(user.uid), Some(user.gid))?;
        Ok(Some(Self { file, length: 0, most: u64::MAX, linkable: true, near: near.to_owned(), flees: false }))
    }

    fn open_elsewhere(near: &Path) -> io::Result<Self> {
        let (file, most) = place::elsewhere(near)?;
        Ok(Self { file, length: 0, most, linkable: false, near: near.to_owned(), flees: false })
    }

    /// Appends `parts`.
    pub(super) fn write<B: AsRef<[u8]>>(&mut self, parts: &[B]) -> io::Result<()> {
        let count: u64 = parts.iter().map(|part| part.as_ref().len() as u64).sum();
        self.extend(count, |file, at| file::write_at(file, parts, at).map(|()| count))
    }

    /// Appends everything that is in `from`.
    pub(super) fn append(&mut self, from: &File) -> io::Result<()> {
        let expected = from.metadata()?.len();
        self.extend(expected, |file, at| file::copy(from, 0, file, at, u64::MAX - at))
    }

    /// Appends what `write` writes at the offset that it is given and counts; `expected` bytes must be allowed.
    fn extend(&mut self, expected: u64, mut write: impl FnMut(&File, u64) -> io::Result<u64>) -> io::Result<()> {
        if self.length.saturating_add(expected) > self.most {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let written = match write(&self.file, self.length) {
            Err(error) if self.flees && is_full(&error) => {
                self.flee(expected)?;
                write(&self.file, self.length)?
            }
            other => other?,
        };
        self.length += written;
        Ok(())
    }

    /// Moves what is there to another file system, to leave its space to the target; says whether that changed a thing.
    pub(super) fn make_room(&mut self) -> io::Result<bool> {
        if !self.linkable {
            return Ok(false);
        }
        self.flee(0).map(|()| true)
    }

    /// Moves what is there to another file system.
    fn flee(&mut self, count: u64) -> io::Result<()> {
        let other = Self::open_elsewhere(&self.near)?;
        if self.length.saturating_add(count) > other.most {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        file::copy(&self.file, 0, &other.file, 0, self.length)?;
        *self = Self { length: self.length, ..other };
        Ok(())
    }

    /// Gives the file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

impl Content {
    /// Counts the bytes.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Spool(spool) => spool.length,
        }
    }

    /// Writes the bytes from `start` to `end` to the same place of `to`.
    pub(super) fn write_range(&self, to: &File, start: u64, end: u64) -> io::Result<()> {
        match self {
            Self::Spool(spool) => match file::copy(&spool.file, start, to, start, end - start)? {
                copied if copied == end - start => Ok(()),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            },
            Self::Memory(bytes) => {
                let place = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX).min(bytes.len());
                file::write_at(to, &[&bytes[place(start)..place(end)]], start)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_lands_where_it_belongs() {
        let content = Content::Memory(Bytes::from_static(b"0123456789"));
        assert_eq!(content.len(), 10);
        for start in 0..=10 {
            for end in start..=10 {
                let file = file::open_in_memory().unwrap();
                content.write_range(&file, start, end).unwrap();
                let mut bytes = Vec::new();
                file::read_at(&file, &mut bytes, start, 20).unwrap();
                let range = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
                assert_eq!(bytes, b"0123456789"[range], "{start}..{end}");
            }
        }
    }
}
