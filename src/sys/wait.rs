//! How a child ended, and signals by pidfd.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

/// Says how a process ended (waitid(2), `si_code` and `si_status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It called exit.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// The signal's number; real-time signals included.
        number: i32,
        /// A core file was written.
        core: bool,
    },
}

/// Says how the child behind a pidfd ended; `None` while it runs. Its number stays taken until [`reap`].
///
/// # Errors
/// ECHILD when somebody else reaped it.
pub fn ended(pidfd: BorrowedFd<'_>) -> io::Result<Option<Ended>> {
    wait(pidfd, libc::WNOHANG | libc::WNOWAIT)
}

/// Gives the number of an ended child back to the kernel, and says how it ended; `None` while it runs.
///
/// # Errors
/// ECHILD when somebody else reaped it.
pub fn reap(pidfd: BorrowedFd<'_>) -> io::Result<Option<Ended>> {
    wait(pidfd, libc::WNOHANG)
}

/// Waits until the child has ended, and gives its number back; blocks for as long as the child lives.
///
/// # Errors
/// ECHILD when somebody else reaped it, EINTR.
pub fn reap_at_last(pidfd: BorrowedFd<'_>) -> io::Result<Option<Ended>> {
    wait(pidfd, 0)
}

fn wait(pidfd: BorrowedFd<'_>, flags: i32) -> io::Result<Option<Ended>> {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let id = pidfd.as_raw_fd().cast_unsigned();
    #[expect(unsafe_code, reason = "nix cannot name real-time signals, so its waitid loses them")]
    // SAFETY: `info` is large enough for what waitid stores and outlives the call.
    let result = unsafe { libc::waitid(libc::P_PIDFD, id, info.as_mut_ptr(), libc::WEXITED | flags) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    #[expect(unsafe_code, reason = "reads what the call above stored")]
    // SAFETY: the struct was zeroed and then possibly filled by the kernel: all bytes are initialised, and all-zero
    // is a valid siginfo_t. The pid and status members are valid for SIGCHLD information.
    let (pid, code, status) = unsafe {
        let info = info.assume_init_ref();
        (info.si_pid(), info.si_code, info.si_status())
    };
    Ok(match (pid, code) {
        (0, _) => None,
        (_, libc::CLD_EXITED) => Some(Ended::Code(status)),
        (_, code) => Some(Ended::Signal { number: status, core: code == libc::CLD_DUMPED }),
    })
}

/// Sends a signal to the process behind a pidfd.
///
/// # Errors
/// ESRCH when it ended, EPERM.
pub fn signal(pidfd: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    #[expect(unsafe_code, reason = "no wrapper of pidfd_send_signal takes real-time signals")]
    // SAFETY: a null siginfo asks the kernel to fill it as kill(2) does; flags must be 0.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), number, std::ptr::null::<libc::siginfo_t>(), 0)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
