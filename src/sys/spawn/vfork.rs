//! A child that shares our memory until it executes, on a stack of its own.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

use super::plan::Plan;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::raw;

/// The child's frames are small: it calls a handful of functions.
const STACK: usize = 16 << 10;
/// linux/sched.h; libc's constants have a type that cannot hold them.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const SHARED: libc::c_int = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;

/// Carries out a plan in a child; returns its process id when it has executed, or ended, or been killed, and whether it
/// was born in `cgroup`: where that is not allowed, or the kernel has no `clone3`, it is born in ours.
///
/// The plan's birth knows the child before the child runs.
///
/// # Errors
/// The error of `clone3` or `clone`: there is no child.
pub(super) fn vfork(plan: &mut Plan<'_>, cgroup: Option<BorrowedFd<'_>>) -> io::Result<(libc::pid_t, bool)> {
    let mut stack = [const { MaybeUninit::<u128>::uninit() }; STACK / size_of::<u128>()];
    if cgroup.is_some() {
        match clone3(plan, &mut stack, cgroup) {
            Ok(pid) => return Ok((pid, true)),
            // These say that the machine is full, wherever the program is born.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE)) => {
                return Err(error);
            }
            Err(_) => {}
        }
    }
    let pid = match clone3(plan, &mut stack, None) {
        // Hidden by a sandbox, or without CLONE_CLEAR_SIGHAND (5.5).
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => clone(plan, &mut stack)?,
        born => born?,
    };
    Ok((pid, false))
}

/// The child begins here, on its own stack.
extern "C" fn begin(plan: *mut libc::c_void) -> libc::c_int {
    #[expect(unsafe_code, reason = "the other end of clone's argument")]
    // SAFETY: our caller stands still inside of the clone until the child has executed or ended, so that the child is
    // the only user of the plan meanwhile.
    let code = unsafe { (*plan.cast::<Plan<'_>>()).run() };
    #[expect(unsafe_code, reason = "an exit without running the parent's handlers")]
    // SAFETY: `_exit` takes any code and runs no destructor or handler of the parent's.
    unsafe {
        libc::_exit(code)
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn clone3(
    plan: &mut Plan<'_>,
    stack: &mut [MaybeUninit<u128>],
    cgroup: Option<BorrowedFd<'_>>,
) -> io::Result<libc::pid_t> {
    let shared = u64::from((SHARED | libc::CLONE_PARENT_SETTID).cast_unsigned());
    let arguments = raw::CloneArgs {
        flags: shared | CLONE_CLEAR_SIGHAND | cgroup.map_or(0, |_| CLONE_INTO_CGROUP),
        pidfd: plan.birth.pidfd.as_ptr() as u64,
        parent_tid: plan.birth.alive.as_ptr() as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: stack.as_mut_ptr() as u64,
        stack_size: size_of_val(stack) as u64,
        cgroup: cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
        ..raw::CloneArgs::default()
    };
    let plan = std::ptr::from_mut(plan).cast();
    #[expect(unsafe_code, reason = "no wrapper of clone3 exists")]
    // SAFETY: `arguments` has the kernel's layout and size; it, the birth, the plan and the stack outlive the call, which
    // returns when the child uses none of them any more (CLONE_VFORK). `begin` never returns.
    let pid = unsafe { raw::clone3(&raw const arguments, size_of::<raw::CloneArgs>(), begin, plan) };
    match libc::pid_t::try_from(pid) {
        Ok(pid @ 1..) => Ok(pid),
        _ => Err(io::Error::from_raw_os_error(i32::try_from(-pid).unwrap_or(libc::EIO))),
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn clone3(_: &mut Plan<'_>, _: &mut [MaybeUninit<u128>], _: Option<BorrowedFd<'_>>) -> io::Result<libc::pid_t> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

/// The older call: our signal handlers stay, so the plan begins with taking them away.
pub(super) fn clone(plan: &mut Plan<'_>, stack: &mut [MaybeUninit<u128>]) -> io::Result<libc::pid_t> {
    plan.handlers = true;
    let top = stack.as_mut_ptr_range().end;
    let pidfd = plan.birth.pidfd.as_ptr();
    let plan = std::ptr::from_mut(plan).cast();
    #[expect(unsafe_code, reason = "a process that shares memory has no safe wrapper")]
    // SAFETY: `top` is the aligned end of the stack. It, the birth and the plan outlive the call, which returns when the
    // child uses none of them any more (CLONE_VFORK).
    let pid = unsafe { libc::clone(begin, top.cast(), SHARED | libc::SIGCHLD, plan, pidfd) };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) }
}
