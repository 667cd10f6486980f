//! `clone3` with a pidfd and, where asked, straight into a cgroup.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::libc;

/// Tells the two returns of a fork apart.
#[derive(Debug)]
pub(super) enum Fork {
    /// This is the child: only system calls from here.
    Child,
    /// This is the parent.
    Parent {
        /// The child's process id.
        pid: u32,
        /// Refers to the child whatever becomes of its number.
        pidfd: OwnedFd,
        /// It was born in the cgroup that was asked for.
        placed: bool,
    },
}

/// Forks; the child is born in `cgroup`.
///
/// # Errors
/// The error of `clone3`; where sandboxing hides that call (ENOSYS), of `fork` and `pidfd_open`, which ignore `cgroup`.
pub(super) fn fork(cgroup: Option<BorrowedFd<'_>>) -> io::Result<Fork> {
    let mut pidfd: libc::c_int = -1;
    let mut flags = libc::CLONE_PIDFD as u64;
    if cgroup.is_some() {
        flags |= CLONE_INTO_CGROUP;
    }
    let arguments = CloneArgs {
        flags,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
        ..CloneArgs::default()
    };
    #[expect(unsafe_code, reason = "no wrapper of clone3 exists")]
    // SAFETY: `arguments` has the kernel's layout and size, and `pidfd` outlives the call. Without CLONE_VM the child
    // has its own copy of memory and goes on from here on the same stack addresses; callers only make raw calls in it.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<CloneArgs>()) };
    match pid {
        0 => Ok(Fork::Child),
        1.. => Ok(Fork::Parent {
            pid: u32::try_from(pid).unwrap_or_default(),
            pidfd: own(pidfd),
            placed: cgroup.is_some(),
        }),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENOSYS) => old_fork(),
            error => Err(error),
        },
    }
}

/// linux/sched.h; libc's constant has a type that cannot hold it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Mirrors `struct clone_args` of linux/sched.h, version 2 (5.7, with `cgroup`).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

fn old_fork() -> io::Result<Fork> {
    #[expect(unsafe_code, reason = "the only way where seccomp hides clone3")]
    // SAFETY: callers only make raw calls in the child.
    let pid = unsafe { libc::fork() };
    match pid {
        0 => Ok(Fork::Child),
        1.. => {
            #[expect(unsafe_code, reason = "no wrapper that gives an OwnedFd")]
            // SAFETY: takes no pointers; the child cannot be reaped by anybody else, so the number is still its own.
            let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
            if pidfd < 0 {
                let error = io::Error::last_os_error();
                abandon(pid);
                return Err(error);
            }
            let pidfd = own(i32::try_from(pidfd).unwrap_or(-1));
            Ok(Fork::Parent { pid: u32::try_from(pid).unwrap_or_default(), pidfd, placed: false })
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Kills and reaps a child that nobody can watch.
fn abandon(pid: libc::pid_t) {
    let pid = nix::unistd::Pid::from_raw(pid);
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
    let _ = nix::sys::wait::waitpid(pid, None);
}

fn own(fd: libc::c_int) -> OwnedFd {
    #[expect(unsafe_code, reason = "takes over a descriptor that the kernel just made")]
    // SAFETY: the kernel stored a new descriptor here on success, and nobody else knows it.
    unsafe {
        OwnedFd::from_raw_fd(fd)
    }
}
