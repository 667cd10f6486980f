//! Starting a program: one `clone3`, a child that only makes system calls, one `execve`.
//!
//! No shell, no helper program: session, priorities, credentials, folder and cgroup are set by the child itself
//! between clone and exec. What goes wrong there comes back through a close-on-exec pipe as ([`Stage`], errno), so
//! that an exec that never happened is not taken for a program that ended badly.
//!
//! The child is a copy-on-write fork and not a vfork: the parent never waits inside the kernel for an exec that a
//! dead network mount can hold for ever.

use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::libc;

/// Describes a program so completely that the child needs no allocation.
#[derive(Debug)]
pub struct Image<'a> {
    /// Files to try in order, as `execvp` does with `PATH`.
    pub candidates: Vec<CString>,
    /// `argv`, the name first.
    pub argv: Vec<CString>,
    /// `NAME=value` strings.
    pub envp: Vec<CString>,
    /// Entered after the credentials are switched, so that the user's own permissions count.
    pub cwd: CString,
    /// User, group and all groups to become; `None` stays what we are.
    pub credentials: Option<Credentials>,
    /// Standard input, output and error; each descriptor is above 2 and close-on-exec.
    pub stdio: [BorrowedFd<'a>; 3],
    /// Makes stdin the controlling terminal of the new session.
    pub terminal: bool,
}

/// Holds the ids of the account that a program runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// All groups.
    pub groups: Vec<u32>,
}

/// Holds a child that may not have reached its program yet.
#[derive(Debug)]
pub struct Spawned {
    /// Process id, also the session and group id.
    pub pid: u32,
    /// Becomes readable when the child ends.
    pub pidfd: OwnedFd,
    /// Ends empty when the program runs, never blocks; see [`decode_failure`].
    pub failure: OwnedFd,
    /// It was born in the cgroup that was asked for.
    pub placed: bool,
}

/// Names the step between clone and exec that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// `setsid`, `dup2`, `TIOCSCTTY`.
    Stdio = 1,
    /// `setgroups`, `setresgid`, `setresuid`.
    Credentials = 2,
    /// `chdir`.
    Folder = 3,
    /// `execve`.
    Exec = 4,
}

/// Exit code of a command that was not found, or whose name can name nothing (POSIX 2.8.2; dash sorts alike).
pub const EXIT_NOT_FOUND: i32 = 127;
/// Exit code of a command that was found and is not executable (POSIX 2.8.2).
pub const EXIT_NOT_EXECUTABLE: i32 = 126;
/// Bytes that a failing child writes: stage, then errno.
pub const FAILURE_BYTES: usize = 5;

/// `oom_score_adj` of user programs: they go before the agent does (envd's value).
const OOM_SCORE_ADJ: &[u8] = b"100";
/// Best-effort class, level 4: the kernel's default (ioprio_set(2)).
const IOPRIO_BEST_EFFORT_4: libc::c_int = (2 << 13) | 4;
const IOPRIO_WHO_PROCESS: libc::c_int = 1;

/// Starts the program, born in `cgroup` (a directory of cgroup v2); returns when the child exists, not when its
/// program runs.
///
/// # Errors
/// The error of `pipe2` or `clone3`; nothing is left behind.
pub fn spawn(image: &Image<'_>, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Spawned> {
    let (failure, report) = super::fd::nonblocking_pipe()?;
    let groups: &[u32] = image.credentials.as_ref().map_or(&[], |credentials| &credentials.groups);
    let plan = Plan {
        candidates: pointers(&image.candidates),
        argv: pointers(&image.argv),
        shell_argv: shell_pointers(&image.argv),
        envp: pointers(&image.envp),
        cwd: image.cwd.as_ptr(),
        ids: image.credentials.as_ref().map(|credentials| (credentials.uid, credentials.gid)),
        groups,
        stdio: [image.stdio[0].as_raw_fd(), image.stdio[1].as_raw_fd(), image.stdio[2].as_raw_fd()],
        terminal: image.terminal,
        files: super::limits::original_files(),
        ignored: super::limits::ignored(),
        moved: super::priority::is_moved(),
        report: report.as_raw_fd(),
    };
    match super::clone::fork(cgroup)? {
        super::clone::Fork::Child => plan.run(),
        super::clone::Fork::Parent { pid, pidfd, placed } => Ok(Spawned { pid, pidfd, failure, placed }),
    }
}

/// Reads what a failing child reported; `None` for the empty report of a program that runs.
#[must_use]
pub fn decode_failure(report: &[u8]) -> Option<(Stage, i32)> {
    let (&stage, errno) = report.split_first()?;
    let stage = match stage {
        1 => Stage::Stdio,
        2 => Stage::Credentials,
        3 => Stage::Folder,
        _ => Stage::Exec,
    };
    Some((stage, i32::from_ne_bytes(errno.try_into().ok()?)))
}

/// Everything the child reads, laid out before the clone. The child may not allocate, lock or log.
struct Plan<'a> {
    candidates: Vec<*const c_char>,
    argv: Vec<*const c_char>,
    shell_argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    cwd: *const c_char,
    ids: Option<(u32, u32)>,
    groups: &'a [u32],
    stdio: [libc::c_int; 3],
    terminal: bool,
    files: Option<(u64, u64)>,
    ignored: &'static [libc::c_int],
    moved: bool,
    report: libc::c_int,
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

/// `/bin/sh FILE ARGS…` for a script without an interpreter line; the file is filled in by the child.
fn shell_pointers(argv: &[CString]) -> Vec<*const c_char> {
    let rest = argv.iter().skip(1).map(|string| string.as_ptr());
    [c"/bin/sh".as_ptr(), std::ptr::null()].into_iter().chain(rest).chain([std::ptr::null()]).collect()
}

impl Plan<'_> {
    /// Runs in the child and never returns.
    fn run(mut self) -> ! {
        let (stage, errno) = match self.prepare() {
            Err(failure) => failure,
            Ok(()) => (Stage::Exec, self.exec()),
        };
        let code = match errno {
            libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::ENAMETOOLONG => EXIT_NOT_FOUND,
            _ => EXIT_NOT_EXECUTABLE,
        };
        let mut report = [stage as u8; FAILURE_BYTES];
        report[1..].copy_from_slice(&errno.to_ne_bytes());
        #[expect(unsafe_code, reason = "between fork and exec only raw calls are allowed")]
        // SAFETY: the descriptor is the write end that this child inherited and the buffer is FAILURE_BYTES long.
        // Nobody can be told if this write fails.
        let _ = unsafe { libc::write(self.report, report.as_ptr().cast(), FAILURE_BYTES) };
        #[expect(unsafe_code, reason = "an exit without running the parent's handlers")]
        // SAFETY: `_exit` takes any code and runs no destructor or handler of the parent's.
        unsafe {
            libc::_exit(code)
        }
    }

    fn prepare(&self) -> Result<(), (Stage, i32)> {
        self.session().map_err(|errno| (Stage::Stdio, errno))?;
        self.priorities();
        self.become_user().map_err(|errno| (Stage::Credentials, errno))?;
        #[expect(unsafe_code, reason = "between fork and exec only raw calls are allowed")]
        // SAFETY: `cwd` is a NUL-terminated string that lives in the copied address space.
        let entered = unsafe { libc::chdir(self.cwd) };
        check(entered).map_err(|errno| (Stage::Folder, errno))
    }

    #[expect(unsafe_code, reason = "between fork and exec only raw calls are allowed")]
    fn session(&self) -> Result<(), i32> {
        // SAFETY: takes no pointers; a fresh child is never a group leader.
        check(unsafe { libc::setsid() })?;
        for (target, &source) in (0..).zip(&self.stdio) {
            // SAFETY: takes no pointers; the sources are above 2, so no target overwrites a later source.
            check(unsafe { libc::dup2(source, target) })?;
        }
        if self.terminal {
            // SAFETY: descriptor 0 is the terminal; argument 0 never steals one from another session.
            check(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) })?;
        }
        for &ignored in self.ignored {
            // SAFETY: SIG_DFL is a valid disposition.
            unsafe { libc::signal(ignored, libc::SIG_DFL) };
        }
        // SAFETY: takes no pointers. Marks what an outer program may have leaked to us; older kernels refuse, and
        // our own descriptors are close-on-exec anyway.
        let _ = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        Ok(())
    }

    /// Undoes the agent's own boosts; a refusal leaves the child as it is, as envd's wrapper does.
    #[expect(unsafe_code, reason = "between fork and exec only raw calls are allowed")]
    fn priorities(&self) {
        let path = c"/proc/self/oom_score_adj".as_ptr();
        // The raw call: musl's `open` makes a second one for kernels that know no O_CLOEXEC.
        // SAFETY: the path is a NUL-terminated literal.
        let file = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, libc::O_WRONLY | libc::O_CLOEXEC) };
        if let Ok(file @ 0..) = libc::c_int::try_from(file) {
            // SAFETY: the buffer is a literal of the given length.
            let _ = unsafe { libc::write(file, OOM_SCORE_ADJ.as_ptr().cast(), OOM_SCORE_ADJ.len()) };
        }
        if self.moved {
            // SAFETY: take no pointers; pid 0 means the caller.
            unsafe {
                libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_BEST_EFFORT_4);
                libc::setpriority(libc::PRIO_PROCESS, 0, 0);
            }
        }
        if let Some((soft, hard)) = self.files {
            let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
            // SAFETY: the struct outlives the call.
            unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
        }
    }

    /// Raw calls, not libc's: its wrappers signal the threads of the parent that this copy does not have.
    #[expect(unsafe_code, reason = "between fork and exec only raw calls are allowed")]
    fn become_user(&self) -> Result<(), i32> {
        let Some((uid, gid)) = self.ids else { return Ok(()) };
        // SAFETY: the slice lives in the copied address space and its length is passed with it.
        check_long(unsafe { libc::syscall(libc::SYS_setgroups, self.groups.len(), self.groups.as_ptr()) })?;
        // SAFETY: takes no pointers.
        check_long(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
        // SAFETY: takes no pointers.
        check_long(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) })
    }

    /// Tries each candidate as `execvp` does and returns the error that says most.
    fn exec(&mut self) -> i32 {
        let mut denied = false;
        for index in 0..self.candidates.len() - 1 {
            let file = self.candidates[index];
            let mut errno = execve(file, &self.argv, &self.envp);
            if errno == libc::ENOEXEC {
                self.shell_argv[1] = file;
                errno = execve(self.shell_argv[0], &self.shell_argv, &self.envp);
                if errno == libc::ENOENT {
                    errno = libc::ENOEXEC;
                }
            }
            match errno {
                libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
                libc::EACCES => denied = true,
                other => return other,
            }
        }
        if denied { libc::EACCES } else { libc::ENOENT }
    }
}

fn execve(file: *const c_char, argv: &[*const c_char], envp: &[*const c_char]) -> i32 {
    #[expect(unsafe_code, reason = "execve takes raw vectors")]
    // SAFETY: file, and each element of both null-terminated vectors, is a NUL-terminated string of the image.
    unsafe {
        libc::execve(file, argv.as_ptr(), envp.as_ptr())
    };
    errno()
}

fn check(result: libc::c_int) -> Result<(), i32> {
    if result < 0 { Err(errno()) } else { Ok(()) }
}

fn check_long(result: libc::c_long) -> Result<(), i32> {
    if result < 0 { Err(errno()) } else { Ok(()) }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}
