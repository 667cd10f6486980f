//! Files without a name, space set aside, copies that the kernel makes.

use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::libc;
use rustix::fs::{AtFlags, CWD, FallocateFlags, MemfdFlags, Mode, OFlags, Statx, StatxFlags};
use rustix::io::Errno;

/// Most buffers that one vectored write takes (IOV_MAX, limits.h).
const IOV_MAX: usize = 1024;
/// Bytes of a copy through user space, where the kernel cannot copy by itself.
const COPY_BUFFER: usize = 256 * 1024;

/// Tells apart file systems and the mounts of one file system; only within one can a file be linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount {
    device: (u32, u32),
    mount: u64,
}

/// Says what a file system has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that root may still take.
    pub free: u64,
    /// Inodes left; `None` where the file system makes them as needed.
    pub inodes: Option<u64>,
    /// The type, as statfs(2) names it.
    pub magic: u64,
}

/// Opens a file that has no name in `dir`'s file system (O_TMPFILE, open(2)); it vanishes unless it is linked.
///
/// # Errors
/// `EOPNOTSUPP` or `EISDIR` where the file system or the kernel cannot.
pub fn open_unnamed(dir: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(dir, flags, Mode::from_raw_mode(0o666))?))
}

/// Opens a file in memory (memfd_create(2)); it can never be linked.
///
/// # Errors
/// `ENOMEM`, `EMFILE`.
pub fn open_in_memory() -> io::Result<File> {
    Ok(File::from(rustix::fs::memfd_create("upload", MemfdFlags::CLOEXEC)?))
}

/// Gives a file without a name its first one; never replaces anything.
///
/// Through `/proc`, because the direct way needs CAP_DAC_READ_SEARCH (open(2), O_TMPFILE); directly where `/proc` is
/// not mounted.
///
/// # Errors
/// `EEXIST`, `EXDEV` when the name lies in another file system or mount.
pub fn link_unnamed(file: &File, path: &Path) -> io::Result<()> {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    match rustix::fs::linkat(CWD, link, CWD, path, AtFlags::SYMLINK_FOLLOW) {
        Err(Errno::NOENT) => Ok(rustix::fs::linkat(file, "", CWD, path, AtFlags::EMPTY_PATH)?),
        other => Ok(other?),
    }
}

/// Gives the path without symbolic links of an open directory or file.
///
/// # Errors
/// When `/proc` is not mounted.
pub fn real_path(file: &File) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Says where a path lies, following symbolic links.
///
/// # Errors
/// As stat(2).
pub fn mount_of(path: &Path) -> io::Result<Mount> {
    let mask = StatxFlags::TYPE | StatxFlags::MNT_ID;
    Ok(Mount::of(&rustix::fs::statx(CWD, path, AtFlags::empty(), mask)?))
}

impl Mount {
    fn of(found: &Statx) -> Self {
        // Kernels before 5.8 leave the mount at 0: then bind mounts look alike and linking says EXDEV.
        Self { device: (found.stx_dev_major, found.stx_dev_minor), mount: found.stx_mnt_id }
    }

    /// Says whether both lie in one file system, whatever the mount.
    #[must_use]
    pub fn shares_device(self, other: Self) -> bool {
        self.device == other.device
    }
}

/// Says what is left where `file` lies.
///
/// # Errors
/// As fstatfs(2).
pub fn space(file: &File) -> io::Result<Space> {
    let found = rustix::fs::fstatfs(file)?;
    let block = u64::try_from(found.f_bsize).unwrap_or(4096);
    Ok(Space {
        free: found.f_bfree.saturating_mul(block),
        inodes: (found.f_files > 0).then_some(found.f_ffree),
        magic: u64::try_from(found.f_type).unwrap_or(0),
    })
}

/// Sets blocks aside for the first `length` bytes without changing the size (FALLOC_FL_KEEP_SIZE, fallocate(2)).
///
/// # Errors
/// `ENOSPC`, perhaps with a part set aside; `EOPNOTSUPP` where the file system cannot.
pub fn reserve(file: &File, length: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, length)?)
}

/// Makes `to` share all blocks of `from` (FICLONE, ioctl_ficlone(2)); `to` keeps bytes beyond `from`'s length.
///
/// # Errors
/// `EXDEV`, `EOPNOTSUPP`, `EINVAL` where blocks cannot be shared.
pub fn share_blocks(from: &File, to: &File) -> io::Result<()> {
    Ok(rustix::fs::ioctl_ficlone(to, from)?)
}

/// Copies `length` bytes between two places of two files, in the kernel where it can; stops early at `from`'s end.
///
/// # Errors
/// Those of reading and writing; how far it came is not told.
pub fn copy(from: &File, mut from_at: u64, to: &File, mut to_at: u64, length: u64) -> io::Result<u64> {
    let end = from_at.saturating_add(length);
    let begin = from_at;
    while from_at < end {
        let step = usize::try_from(end - from_at).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(from, Some(&mut from_at), to, Some(&mut to_at), step) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::IO | Errno::FBIG | Errno::BADF)) => {
                return Err(error.into());
            }
            Err(_) => break,
        }
    }
    // Another file system, an old kernel, or a file of /proc that says "end" to the call above.
    let mut buffer = Vec::new();
    while from_at < end {
        let step = usize::try_from(end - from_at).unwrap_or(usize::MAX).min(COPY_BUFFER);
        buffer.clear();
        if read_at(from, &mut buffer, from_at, step)? == 0 {
            break;
        }
        write_at(to, &[&buffer], to_at)?;
        from_at += buffer.len() as u64;
        to_at += buffer.len() as u64;
    }
    Ok(from_at - begin)
}

/// Appends up to `most` bytes at offset `at` to `buffer`, stopping early only at the end; counts them.
///
/// # Errors
/// As pread(2), without EINTR.
pub fn read_at(file: &File, buffer: &mut Vec<u8>, at: u64, most: usize) -> io::Result<usize> {
    fill(buffer, most, |space, done| Ok(rustix::io::pread(file, space, at + done as u64)?.0.len()))
}

/// As [`read_at`], but gives only what memory has and waits for no disk (`RWF_NOWAIT`, readv(2)).
///
/// # Errors
/// `EAGAIN` when memory has nothing, `EOPNOTSUPP` where the filesystem cannot tell.
pub fn read_warm(file: &File, buffer: &mut Vec<u8>, at: u64, most: usize) -> io::Result<usize> {
    fill(buffer, most, |space, done| {
        let part = libc::iovec { iov_base: space.as_mut_ptr().cast(), iov_len: space.len() };
        let at = libc::off_t::try_from(at + done as u64).map_err(|_| Errno::INVAL)?;
        #[expect(unsafe_code, reason = "the wrappers of this call want memory that is initialised")]
        // SAFETY: the kernel stores at most `iov_len` bytes at `iov_base`, which is `space`; both outlive the call.
        let count = unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, at, libc::RWF_NOWAIT) };
        usize::try_from(count).map_err(|_| Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO))
    })
}

/// Appends up to `most` bytes from the file's position, for files that have no offsets; counts them.
///
/// # Errors
/// As read(2), without EINTR; `EAGAIN` only when nothing was read.
pub fn read_on(file: &File, buffer: &mut Vec<u8>, most: usize) -> io::Result<usize> {
    fill(buffer, most, |space, _| Ok(rustix::io::read(file, space)?.0.len()))
}

/// Calls `read` with the space left and the count so far until that is `most`; `read` says how much it initialised.
fn fill<F>(buffer: &mut Vec<u8>, most: usize, mut read: F) -> io::Result<usize>
where
    F: FnMut(&mut [MaybeUninit<u8>], usize) -> Result<usize, Errno>,
{
    let mut done = 0;
    buffer.reserve_exact(most);
    while done < most {
        let count = match read(&mut buffer.spare_capacity_mut()[..most - done], done) {
            Ok(0) => break,
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) if done > 0 => break,
            Err(error) => return Err(error.into()),
        };
        done += count;
        #[expect(unsafe_code, reason = "the standard library cannot read at an offset into fresh memory")]
        // SAFETY: `read` initialised the first `count` bytes of the spare capacity, as rustix says by the length of
        // the slice it returns, and the slice it was given ends within the capacity.
        unsafe {
            buffer.set_len(buffer.len() + count);
        }
    }
    Ok(done)
}

/// Writes all `parts` one after another at offset `at`.
///
/// # Errors
/// As pwritev(2), without EINTR; a part may have been written.
pub fn write_at<B: AsRef<[u8]>>(file: &File, parts: &[B], at: u64) -> io::Result<()> {
    drain(parts, |slices, done| rustix::io::pwritev(file, slices, at + done))
}

/// Writes all `parts` at the file's position, for files that have no offsets.
///
/// # Errors
/// As writev(2), without EINTR; a part may have been written.
pub fn write_on<B: AsRef<[u8]>>(file: &File, parts: &[B]) -> io::Result<()> {
    drain(parts, |slices, _| rustix::io::writev(file, slices))
}

fn drain<B, F>(parts: &[B], mut write: F) -> io::Result<()>
where
    B: AsRef<[u8]>,
    F: FnMut(&[IoSlice<'_>], u64) -> Result<usize, Errno>,
{
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part.as_ref())).collect();
    let mut left = &mut slices[..];
    let mut done = 0;
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match write(&left[..left.len().min(IOV_MAX)], done) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                done += count as u64;
                IoSlice::advance_slices(&mut left, count);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(file: &File) -> Vec<u8> {
        let mut bytes = Vec::new();
        read_at(file, &mut bytes, 0, 1 << 20).unwrap();
        bytes
    }

    #[test]
    fn parts_are_written_in_order_whatever_their_number() {
        let file = open_in_memory().unwrap();
        let parts: Vec<Vec<u8>> = (0..3000_u32).map(|at| at.to_le_bytes().to_vec()).collect();
        write_at(&file, &parts, 2).unwrap();
        let mut want = vec![0, 0];
        want.extend(parts.concat());
        assert_eq!(content(&file), want);
        write_at::<&[u8]>(&file, &[], 0).unwrap();
        write_at(&file, &[b""], 0).unwrap();
    }

    #[test]
    fn a_copy_ends_where_its_source_ends() {
        let (from, to) = (open_in_memory().unwrap(), open_in_memory().unwrap());
        write_at(&from, &[b"0123456789"], 0).unwrap();
        assert_eq!(copy(&from, 4, &to, 1, 100).unwrap(), 6);
        assert_eq!(content(&to), b"\x00456789");
        let cpuinfo = File::open("/proc/self/status").unwrap();
        assert!(copy(&cpuinfo, 0, &to, 0, 100).unwrap() > 0);
    }

    #[test]
    fn no_more_is_read_than_asked_for_whatever_the_buffer_holds() {
        let file = open_in_memory().unwrap();
        write_at(&file, &[b"0123456789"], 0).unwrap();
        let mut buffer = Vec::with_capacity(1000);
        assert_eq!(read_at(&file, &mut buffer, 2, 3).unwrap(), 3);
        assert_eq!(read_on(&file, &mut buffer, 4).unwrap(), 4);
        assert_eq!(read_on(&file, &mut buffer, 1).unwrap(), 1);
        assert_eq!(read_at(&file, &mut buffer, 9, 5).unwrap(), 1);
        assert_eq!(read_at(&file, &mut buffer, 10, 5).unwrap(), 0);
        assert_eq!(buffer, b"234012349");
    }

    #[test]
    fn an_unnamed_file_gets_one_name_and_replaces_none() {
        let dir = std::env::temp_dir().join(format!("thawd-unnamed-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = open_unnamed(&dir).unwrap();
        write_at(&file, &[b"x"], 0).unwrap();
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
        link_unnamed(&file, &dir.join("named")).unwrap();
        let again = link_unnamed(&open_unnamed(&dir).unwrap(), &dir.join("named"));
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(dir.join("named")).unwrap(), b"x");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
