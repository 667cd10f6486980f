//! How a process stands against others.

use std::io;
use std::sync::OnceLock;

use nix::libc;

/// Real-time class, level 4 (ioprio_set(2)): before everybody's best effort, as envd's unit has it.
const IOPRIO_REALTIME_4: libc::c_int = (1 << 13) | 4;
const IOPRIO_WHO_PROCESS: libc::c_int = 1;
/// Above it stands the class; 0 is none, which means best effort by the nice value.
const IOPRIO_CLASS_SHIFT: u32 = 13;

/// Says whether this process stands before or behind others, and children therefore have to be put back. Asked once:
/// who starts us decides it.
pub(super) fn is_moved() -> bool {
    static MOVED: OnceLock<bool> = OnceLock::new();
    *MOVED.get_or_init(|| {
        #[expect(unsafe_code, reason = "no crate wraps ioprio_get")]
        // SAFETY: takes no pointers; 0 means the caller.
        let class = unsafe { libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0) } >> IOPRIO_CLASS_SHIFT;
        class != 0 || rustix::process::getpriority_process(None) != Ok(0)
    })
}

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
