//! How a process stands against others.

use std::io;

use nix::libc;

/// Real-time class, level 4 (ioprio_set(2)): before everybody's best effort, as envd's unit has it.
const IOPRIO_REALTIME_4: libc::c_int = (1 << 13) | 4;
const IOPRIO_WHO_PROCESS: libc::c_int = 1;

/// Sets the nice value of this thread and takes disk time before others; children inherit both.
///
/// # Errors
/// EACCES and EPERM without `CAP_SYS_NICE`. Disk time is a wish: without `CAP_SYS_ADMIN` it stays as it was.
pub fn raise(nice: i32) -> io::Result<()> {
    rustix::process::setpriority_process(None, nice)?;
    #[expect(unsafe_code, reason = "no crate wraps ioprio_set")]
    // SAFETY: takes no pointers; 0 means the caller.
    let _ = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_REALTIME_4) };
    Ok(())
}
