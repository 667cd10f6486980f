//! `clone3` with a stack for the child.
#![expect(unsafe_code, reason = "a call that returns twice, on two stacks")]

use nix::libc;

/// Mirrors `struct clone_args` of linux/sched.h, version 2 (5.7, with `cgroup`).
#[repr(C)]
#[derive(Default)]
pub(super) struct CloneArgs {
    pub(super) flags: u64,
    pub(super) pidfd: u64,
    pub(super) child_tid: u64,
    pub(super) parent_tid: u64,
    pub(super) exit_signal: u64,
    pub(super) stack: u64,
    pub(super) stack_size: u64,
    pub(super) tls: u64,
    pub(super) set_tid: u64,
    pub(super) set_tid_size: u64,
    pub(super) cgroup: u64,
}

/// Makes the call; where it returns a second time, in the child, that goes to `begin` with `plan` on the new stack. A
/// function around the call in any other language would return to a caller that the child must not disturb.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn clone3(
    arguments: *const CloneArgs,
    size: usize,
    begin: extern "C" fn(*mut libc::c_void) -> libc::c_int,
    plan: *mut libc::c_void,
) -> isize {
    std::arch::naked_asm!(
        "mov r8, rcx", // The kernel takes rcx and r11 for itself.
        "mov eax, {call}",
        "syscall",
        "test rax, rax",
        "jnz 2f",
        "xor ebp, ebp",
        "mov rdi, r8",
        "call rdx",
        "ud2",
        "2:",
        "ret",
        call = const libc::SYS_clone3,
    )
}

/// As the other one.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn clone3(
    arguments: *const CloneArgs,
    size: usize,
    begin: extern "C" fn(*mut libc::c_void) -> libc::c_int,
    plan: *mut libc::c_void,
) -> isize {
    std::arch::naked_asm!(
        "mov x8, {call}",
        "svc #0",
        "cbnz x0, 2f",
        "mov x29, xzr",
        "mov x0, x3",
        "blr x2",
        "brk #1",
        "2:",
        "ret",
        call = const libc::SYS_clone3,
    )
}
