//! What there is to read.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use nix::libc;

use crate::fs::{Files, FsError, Version};
use crate::identity::User;
use crate::sys::file;

/// Bytes that are read ahead with the opening: most files are smaller, and then that was all.
pub const AHEAD: usize = 256 * 1024;

/// Most bytes of a file that is read on the thread of all requests: 64 KiB are copied in less time than a visit to the
/// pool takes.
const WARM: usize = 64 * 1024;

/// Describes a file that is open for reading.
#[derive(Debug)]
pub struct Opened {
    /// Where it is.
    pub path: PathBuf,
    /// Which version it is.
    pub version: Version,
    /// Its first bytes; all of them in [`Source::Whole`].
    pub start: Bytes,
    /// Where the rest comes from.
    pub source: Source,
}

/// Says where the bytes of a file come from.
#[derive(Debug)]
pub enum Source {
    /// There are no more than those read ahead.
    Whole,
    /// A regular file, longer than what was read ahead; its length is that of the version.
    Regular(File),
    /// Something whose end shows only when it comes; the file stands behind what was read ahead.
    Live(File),
}

/// Opens `path` with the rights of `user` and reads up to `ahead` bytes (at most [`AHEAD`]), in one visit to the pool. A
/// small file of which memory has all is read here and now.
///
/// A pipe is opened without waiting for a writer, and nothing is read from it.
///
/// # Errors
/// [`FsError::Missing`], [`FsError::IsDirectory`], [`FsError::NoPeer`] for a socket, or what the system said.
pub async fn open(files: &Files, user: &User, path: PathBuf, ahead: usize) -> Result<Opened, FsError> {
    if let Some((found, bytes)) = files.warm(&path, WARM) {
        return Ok(Opened { path, version: Version::of(&found), start: bytes.into(), source: Source::Whole });
    }
    files.run(user, move || open_here(path, ahead.min(AHEAD))).await?
}

fn open_here(path: PathBuf, ahead: usize) -> Result<Opened, FsError> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&path).map_err(FsError::io("open", &path))?;
    let found = file.metadata().map_err(FsError::io("stat", &path))?;
    if found.is_dir() {
        return Err(FsError::IsDirectory(path));
    }
    let version = Version::of(&found);
    let kind = found.file_type();
    if kind.is_fifo() || kind.is_char_device() {
        return Ok(Opened { path, version, start: Bytes::new(), source: Source::Live(file) });
    }
    let (start, source) = begin(&path, file, version.size, ahead)?;
    Ok(Opened { path, version: Version { size: start.1, ..version }, start: start.0, source })
}

/// Reads ahead, and learns from it whether the size that stat(2) told is true: files of `/proc` say 0 and those of
/// `/sys` 4096, whatever they hold.
fn begin(path: &Path, file: File, size: u64, ahead: usize) -> Result<((Bytes, u64), Source), FsError> {
    let failed = |error: io::Error| FsError::io("read", path)(error);
    let expected = usize::try_from(size).unwrap_or(usize::MAX);
    let mut buffer = Vec::new();
    if expected > AHEAD {
        file::read_at(&file, &mut buffer, 0, ahead).map_err(failed)?;
        return Ok(((buffer.into(), size), Source::Regular(file)));
    }
    if expected > 0 {
        // One more than there should be, to see the end.
        file::read_on(&file, &mut buffer, expected + 1).map_err(failed)?;
        if buffer.len() <= expected {
            let length = buffer.len() as u64;
            return Ok(((buffer.into(), length), Source::Whole));
        }
        // It grows: what it was when it was opened is a version as good as any.
        buffer.truncate(expected);
        return Ok(((buffer.into(), size), Source::Whole));
    }
    file::read_on(&file, &mut buffer, AHEAD).map_err(failed)?;
    let length = buffer.len() as u64;
    let source = if buffer.len() < AHEAD { Source::Whole } else { Source::Live(file) };
    Ok(((buffer.into(), length), source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::scratch::Scratch;

    #[test]
    fn sizes_that_lie_are_found_out() {
        let cpu = open_here("/proc/cpuinfo".into(), AHEAD).unwrap();
        assert_eq!(cpu.start, std::fs::read("/proc/cpuinfo").unwrap());
        assert!(matches!(cpu.source, Source::Whole));
        let mtu = open_here("/sys/class/net/lo/mtu".into(), AHEAD).unwrap();
        assert_eq!(mtu.version.size, mtu.start.len() as u64);
        assert!(mtu.start.ends_with(b"\n"));
    }

    #[test]
    fn a_small_file_is_read_whole_and_a_large_one_begun() {
        let scratch = Scratch::new();
        for (size, ahead, want) in [(0, AHEAD, 0), (1, 0, 1), (AHEAD, 0, AHEAD), (AHEAD + 1, 512, 512)] {
            std::fs::write(scratch.at("f"), vec![7; size]).unwrap();
            let opened = open_here(scratch.at("f"), ahead).unwrap();
            assert_eq!((opened.start.len(), opened.version.size), (want, size as u64));
            assert_eq!(matches!(opened.source, Source::Whole), size <= AHEAD);
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        let scratch = Scratch::new();
        assert!(matches!(open_here(scratch.path().into(), 1), Err(FsError::IsDirectory(_))));
        assert!(matches!(open_here(scratch.at("x"), 1), Err(FsError::Missing(_))));
        let _socket = std::os::unix::net::UnixListener::bind(scratch.at("s")).unwrap();
        assert!(matches!(open_here(scratch.at("s"), 1), Err(FsError::NoPeer(_))));
    }
}
