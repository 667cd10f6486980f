//! Attaching and detaching a file system whose server may never answer.
//!
//! The call can wait for ever, and a thread that waits in it cannot be ended. A process can: so each call is made by a
//! copy of this one that does nothing else. It shares no memory, needs no program on disk, and dies of SIGKILL where
//! the kernel's wait allows it (those of NFS do).

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use nix::libc;
use nix::mount::{MntFlags, MsFlags};

use super::clone::{Fork, fork};
use super::wait::Ended;

/// Begins mount(2) in a process of its own, and gives its pidfd; [`outcome`] reads how it ended.
///
/// # Errors
/// Those of clone(2).
pub fn mount_apart(source: &CStr, target: &CStr, kind: &CStr, flags: MsFlags, data: &CStr) -> io::Result<OwnedFd> {
    apart(|| {
        #[expect(unsafe_code, reason = "the child may only make raw calls")]
        // SAFETY: all four are NUL-terminated strings in the child's own copy of memory; the kernel copies them.
        unsafe {
            libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags.bits(), data.as_ptr().cast())
        }
    })
}

/// Begins umount2(2) in a process of its own, as [`mount_apart`].
///
/// # Errors
/// Those of clone(2).
pub fn unmount_apart(target: &CStr, flags: MntFlags) -> io::Result<OwnedFd> {
    apart(|| {
        #[expect(unsafe_code, reason = "the child may only make raw calls")]
        // SAFETY: `target` is a NUL-terminated string in the child's own copy of memory.
        unsafe {
            libc::umount2(target.as_ptr(), flags.bits())
        }
    })
}

/// Reads what the call said from how its process ended.
///
/// # Errors
/// That of the call; `EINTR` when a signal ended the process.
pub fn outcome(ended: Ended) -> io::Result<()> {
    match ended {
        Ended::Code(0) => Ok(()),
        Ended::Code(errno) => Err(io::Error::from_raw_os_error(errno)),
        Ended::Signal { .. } => Err(io::Error::from_raw_os_error(libc::EINTR)),
    }
}

fn apart(call: impl FnOnce() -> libc::c_int) -> io::Result<OwnedFd> {
    match fork()? {
        Fork::Parent(pidfd) => Ok(pidfd),
        Fork::Child => {
            #[expect(unsafe_code, reason = "the child may only make raw calls")]
            // SAFETY: takes no pointers. Connections of the agent must not stay open for as long as this process
            // waits; nothing after this uses a descriptor.
            let _ = unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) };
            let failed = call() < 0;
            // Codes have a byte; every error that these calls are documented to give is below 134 (EHWPOISON).
            let code = if failed { io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) } else { 0 };
            #[expect(unsafe_code, reason = "an exit without running the parent's handlers")]
            // SAFETY: `_exit` takes any code and runs no destructor or handler of the parent's.
            unsafe {
                libc::_exit(code)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::place::tests::Folder;
    use crate::sys::wait;

    fn end(pidfd: &OwnedFd) -> io::Result<()> {
        let mut fds = [rustix::event::PollFd::new(pidfd, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, None).unwrap();
        let ended = wait::ended(pidfd.as_fd()).unwrap().unwrap();
        wait::reap(pidfd.as_fd()).unwrap();
        outcome(ended)
    }

    #[test]
    fn what_another_process_mounts_is_there_for_us_and_its_error_is_told() {
        let folder = Folder::new("mount");
        let path = std::ffi::CString::new(folder.0.to_str().unwrap()).unwrap();
        crate::sys::namespace::apart(|| {
            let mount = |kind: &CStr| {
                end(&mount_apart(c"none", &path, kind, MsFlags::MS_NOSUID, c"size=64k,mode=0700").unwrap())
            };
            mount(c"tmpfs").unwrap();
            std::fs::write(folder.0.join("inside"), "").unwrap();
            assert_eq!(mount(c"no-such-kind").unwrap_err().raw_os_error(), Some(libc::ENODEV));
            end(&unmount_apart(&path, MntFlags::MNT_DETACH).unwrap()).unwrap();
            let again = end(&unmount_apart(&path, MntFlags::MNT_FORCE).unwrap());
            assert_eq!(again.unwrap_err().raw_os_error(), Some(libc::EINVAL));
        });
        assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0);
    }
}
