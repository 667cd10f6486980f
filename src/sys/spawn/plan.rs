//! What a child does between clone and exec. It shares the memory of an agent that runs on, so it may not allocate,
//! lock, log or panic: it makes raw calls, and writes to nothing but its own stack, its plan and the `errno` of the
//! thread that stands still for it.

use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use nix::libc;

use super::{EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, Image, Stage};
use crate::sys::{limits, priority};

/// `oom_score_adj` of user programs: they go before the agent does (envd's value).
const OOM_SCORE_ADJ: &[u8] = b"100";
/// Best-effort class, level 4: the kernel's default (ioprio_set(2)).
const IOPRIO_BEST_EFFORT_4: libc::c_int = (2 << 13) | 4;
const IOPRIO_WHO_PROCESS: libc::c_int = 1;

/// What all who know of a child share: the one who wants it, the thread that makes it, the kernel and the child itself.
#[derive(Debug)]
pub(super) struct Birth {
    /// Nobody wants the program any more.
    pub(super) abandoned: AtomicBool,
    /// A descriptor of the child, once it is alive. A clone that fails in the end may have left a number here.
    pub(super) pidfd: AtomicI32,
    /// Not 0 once there is a child: written by the kernel when the clone cannot fail any more (`CLONE_PARENT_SETTID`), and
    /// by the child itself, for the older call has no place for it.
    pub(super) alive: AtomicI32,
}

impl Default for Birth {
    fn default() -> Self {
        Self { abandoned: AtomicBool::new(false), pidfd: AtomicI32::new(-1), alive: AtomicI32::new(0) }
    }
}

/// Everything the child reads, laid out before the clone.
pub(super) struct Plan<'a> {
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
    pub(super) birth: &'a Birth,
    /// The child starts with our signal handlers, not with the default ones.
    pub(super) handlers: bool,
    /// Written by the child when its program cannot run.
    pub(super) failure: Option<(Stage, i32)>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(image: &'a Image, birth: &'a Birth) -> Self {
        Self {
            candidates: pointers(&image.candidates),
            argv: pointers(&image.argv),
            shell_argv: shell_pointers(&image.argv),
            envp: pointers(&image.envp),
            cwd: image.cwd.as_ptr(),
            ids: image.credentials.as_ref().map(|credentials| (credentials.uid, credentials.gid)),
            groups: image.credentials.as_ref().map_or(&[], |credentials| &credentials.groups),
            stdio: [&image.stdio[0], &image.stdio[1], &image.stdio[2]].map(|file| file.as_raw_fd()),
            terminal: image.terminal,
            files: limits::original_files(),
            ignored: limits::ignored(),
            moved: priority::is_moved(),
            birth,
            handlers: false,
            failure: None,
        }
    }

    /// Runs in the child; returns the code to exit with.
    pub(super) fn run(&mut self) -> i32 {
        let (stage, errno) = match self.prepare() {
            Err(failure) => failure,
            Ok(()) => (Stage::Exec, self.exec()),
        };
        self.failure = Some((stage, errno));
        match errno {
            libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::ENAMETOOLONG => EXIT_NOT_FOUND,
            _ => EXIT_NOT_EXECUTABLE,
        }
    }

    fn prepare(&self) -> Result<(), (Stage, i32)> {
        self.birth.alive.store(1, Ordering::SeqCst);
        if self.birth.abandoned.load(Ordering::SeqCst) {
            return Err((Stage::Stdio, libc::ECANCELED));
        }
        self.signals();
        self.session().map_err(|errno| (Stage::Stdio, errno))?;
        self.priorities();
        let score = open_score();
        self.become_user().map_err(|errno| (Stage::Credentials, errno))?;
        #[expect(unsafe_code, reason = "between clone and exec only raw calls are allowed")]
        // SAFETY: `cwd` is a NUL-terminated string of the image.
        let entered = unsafe { libc::chdir(self.cwd) };
        check(entered).map_err(|errno| (Stage::Folder, errno))?;
        be_no_longer_spared(score);
        Ok(())
    }

    /// No handler of ours may run in the shared memory, and nothing that we ignore is ignored by the program.
    #[expect(unsafe_code, reason = "between clone and exec only raw calls are allowed")]
    fn signals(&self) {
        if self.handlers {
            for signal in 1..libc::SIGRTMIN() {
                // SAFETY: SIG_DFL is a valid disposition; the two signals that have no other are refused.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
        }
        for &ignored in self.ignored {
            // SAFETY: SIG_DFL is a valid disposition.
            unsafe { libc::signal(ignored, libc::SIG_DFL) };
        }
    }

    #[expect(unsafe_code, reason = "between clone and exec only raw calls are allowed")]
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
        // SAFETY: takes no pointers. Marks what an outer program may have leaked to us; older kernels refuse, and
        // our own descriptors are close-on-exec anyway.
        let _ = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        Ok(())
    }

    /// Undoes the agent's own boosts; a refusal leaves the child as it is, as envd's wrapper does.
    #[expect(unsafe_code, reason = "between clone and exec only raw calls are allowed")]
    fn priorities(&self) {
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

    /// Raw calls, not libc's: its wrappers would change the ids of all threads of the agent. The kernel takes away the
    /// right to trace whoever shares this memory before the ids change (`commit_creds`), so the user it becomes cannot
    /// reach the agent through it.
    #[expect(unsafe_code, reason = "between clone and exec only raw calls are allowed")]
    fn become_user(&self) -> Result<(), i32> {
        let Some((uid, gid)) = self.ids else { return Ok(()) };
        // SAFETY: the slice lives in the image and its length is passed with it.
        check_long(unsafe { libc::syscall(libc::SYS_setgroups, self.groups.len(), self.groups.as_ptr()) })?;
        // SAFETY: takes no pointers.
        check_long(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
        // SAFETY: takes no pointers.
        check_long(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) })
    }

    /// Tries each candidate as `execvp` does and returns the error that says most.
    fn exec(&mut self) -> i32 {
        let mut denied = false;
        for &file in self.candidates.iter().take_while(|file| !file.is_null()) {
            let mut errno = execve(file, &self.argv, &self.envp);
            if errno == libc::ENOEXEC
                && let [shell, script, ..] = &mut self.shell_argv[..]
            {
                *script = file;
                errno = execve(*shell, &self.shell_argv, &self.envp);
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

/// Opens what says whom the kernel kills when memory ends, which another user may not; `None` without a `/proc`.
fn open_score() -> Option<libc::c_int> {
    let path = c"/proc/self/oom_score_adj".as_ptr();
    #[expect(unsafe_code, reason = "between clone and exec only raw calls are allowed")]
    // The raw call: musl's `open` makes a second one for kernels that know no O_CLOEXEC.
    // SAFETY: the path is a NUL-terminated literal.
    let file = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, libc::O_WRONLY | libc::O_CLOEXEC) };
    libc::c_int::try_from(file).ok().filter(|file| *file >= 0)
}

/// The last thing before the exec: whoever is killed takes all with it that share its memory. The kernel keeps the score
/// of a vfork's child apart from theirs (`vfork_done` in `__set_oom_adj`) and never picks it as a victim while it shares,
/// but kills it with its cgroup where that has `memory.oom.group`, unless it is spared.
fn be_no_longer_spared(score: Option<libc::c_int>) {
    let Some(file) = score else { return };
    #[expect(unsafe_code, reason = "between clone and exec only raw calls are allowed")]
    // SAFETY: the buffer is a literal of the given length.
    let _ = unsafe { libc::write(file, OOM_SCORE_ADJ.as_ptr().cast(), OOM_SCORE_ADJ.len()) };
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

/// `/bin/sh FILE ARGS…` for a script without an interpreter line; the file is filled in by the child.
fn shell_pointers(argv: &[CString]) -> Vec<*const c_char> {
    let rest = argv.iter().skip(1).map(|string| string.as_ptr());
    [c"/bin/sh".as_ptr(), std::ptr::null()].into_iter().chain(rest).chain([std::ptr::null()]).collect()
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
