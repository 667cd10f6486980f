//! Descriptors: pipes that are close-on-exec and above stdio, what is waiting in them, whether they block.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

/// Opens a pipe, read end first; both ends are close-on-exec.
///
/// # Errors
/// EMFILE, ENFILE.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC)?)
}

/// Opens `/dev/null` for a program's stdio: above it, for reading and writing, close-on-exec.
///
/// # Errors
/// EMFILE, ENFILE, and ENOENT where there is none.
pub fn null() -> io::Result<OwnedFd> {
    duplicate(File::options().read(true).write(true).open("/dev/null")?.as_fd())
}

/// Lets reads and writes return `WouldBlock`, by one call (FIONBIO) where `fcntl` needs two.
///
/// # Errors
/// EBADF only.
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(fd, true)?)
}

/// Duplicates a descriptor to a number above stdio, close-on-exec.
///
/// # Errors
/// EMFILE.
pub fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(3))?;
    #[expect(unsafe_code, reason = "takes over a descriptor that the kernel just made")]
    // SAFETY: F_DUPFD_CLOEXEC returned a new descriptor that nobody else knows.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(copy) })
}

/// Counts the bytes that can be read without waiting (FIONREAD); 0 where the file cannot tell.
#[must_use]
pub fn pending(fd: BorrowedFd<'_>) -> usize {
    let mut count: libc::c_int = 0;
    #[expect(unsafe_code, reason = "FIONREAD has no safe wrapper")]
    // SAFETY: FIONREAD stores one int, and `count` outlives the call.
    let result = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut count) };
    if result < 0 { 0 } else { usize::try_from(count).unwrap_or(0) }
}
