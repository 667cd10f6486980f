//! A fork that gives a pidfd.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use nix::libc;

/// Tells the two returns of a fork apart.
#[derive(Debug)]
pub(super) enum Fork {
    /// This is the child: only system calls from here.
    Child,
    /// This is the parent; the pidfd refers to the child whatever becomes of its number.
    Parent(OwnedFd),
}

/// Copies this process.
///
/// # Errors
/// The error of `clone`.
pub(super) fn fork() -> io::Result<Fork> {
    let mut pidfd: libc::c_int = -1;
    let flags = libc::CLONE_PIDFD | libc::SIGCHLD;
    #[expect(unsafe_code, reason = "no wrapper of a clone that gives a pidfd exists")]
    // SAFETY: `pidfd` outlives the call. Without CLONE_VM the child has its own copy of memory and goes on from here on
    // the same stack addresses; callers only make raw calls in it.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
    match pid {
        0 => Ok(Fork::Child),
        1.. => {
            #[expect(unsafe_code, reason = "takes over a descriptor that the kernel just made")]
            // SAFETY: the kernel stored a new descriptor here on success, and nobody else knows it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Fork::Parent(pidfd))
        }
        _ => Err(io::Error::last_os_error()),
    }
}
