//! Stopping and restarting the writes of a whole filesystem, and telling its disk what is free.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

/// linux/fs.h: `_IOWR('X', 119, int)`, `_IOWR('X', 120, int)`, `_IOWR('X', 121, struct fstrim_range)`.
const FIFREEZE: libc::c_ulong = 0xC004_5877;
const FITHAW: libc::c_ulong = 0xC004_5878;
const FITRIM: libc::c_ulong = 0xC018_5879;

/// Freezes the filesystem that `fd` lies on: what was written is on the disk without a journal to replay, and
/// whoever writes waits, unkillable, until [`thaw`]. The state outlives us and has no owner.
///
/// # Errors
/// EBUSY when it is frozen already, EOPNOTSUPP where a filesystem cannot, EPERM without CAP_SYS_ADMIN.
pub fn freeze(fd: BorrowedFd<'_>) -> io::Result<()> {
    plain(fd, FIFREEZE)
}

/// Lets the filesystem that `fd` lies on go on.
///
/// # Errors
/// EINVAL when it is not frozen, EPERM.
pub fn thaw(fd: BorrowedFd<'_>) -> io::Result<()> {
    plain(fd, FITHAW)
}

/// Tells the disk below which blocks are free; gives the bytes told.
///
/// # Errors
/// EOPNOTSUPP where the disk does not want to know.
pub fn trim(fd: BorrowedFd<'_>) -> io::Result<u64> {
    let mut range = TrimRange { start: 0, len: u64::MAX, minlen: 0 };
    #[expect(unsafe_code, reason = "FITRIM has no wrapper")]
    // SAFETY: `range` has the kernel's layout (three u64, linux/fs.h) and outlives the call, which reads and writes it.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), FITRIM as _, &raw mut range) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(range.len) }
}

#[repr(C)]
struct TrimRange {
    start: u64,
    len: u64,
    minlen: u64,
}

fn plain(fd: BorrowedFd<'_>, request: libc::c_ulong) -> io::Result<()> {
    #[expect(unsafe_code, reason = "no wrapper exists")]
    // SAFETY: both requests ignore their argument (fs/ioctl.c), so none is read or written.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request as _, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
