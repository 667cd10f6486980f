//! Starting a program: one `clone3`, a child that only makes system calls, one `execve`.
//!
//! No shell, no helper program: session, priorities, credentials, folder and cgroup are set by the child itself
//! between clone and exec. What goes wrong there is told as ([`Stage`], errno), so that an exec that never happened is
//! not taken for a program that ended badly.
//!
//! The child shares the agent's memory until it executes, and the thread that made it stands still until then (vfork):
//! a copy of the page tables, and of each page that either touches meanwhile, costs more than all the rest of a start.
//! A dead network mount can hold an exec for ever, so that thread is never one that anything else waits for.
//!
//! - `plan` what the child reads and does; `vfork` how it is made (`raw` the call itself); `crew` the threads that wait for it

mod crew;
mod plan;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod raw;
mod vfork;

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Describes a program so completely that the child needs no allocation.
#[derive(Debug)]
pub struct Image {
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
    /// Standard input, output and error; each descriptor is above 2 and close-on-exec. Ours are closed when the program
    /// runs.
    pub stdio: [Arc<OwnedFd>; 3],
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

/// Holds a child that runs its program, or has said why it cannot.
#[derive(Debug)]
pub struct Spawned {
    /// Process id, also the session and group id.
    pub pid: u32,
    /// Becomes readable when the child ends.
    pub pidfd: OwnedFd,
    /// Where it failed, and errno: its program never ran, and it has ended or is about to.
    pub failure: Option<(Stage, i32)>,
    /// It was born in the cgroup that was asked for.
    pub placed: bool,
}

/// Names the step between clone and exec that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `setsid`, `dup2`, `TIOCSCTTY`.
    Stdio,
    /// `setgroups`, `setresgid`, `setresuid`.
    Credentials,
    /// `chdir`.
    Folder,
    /// `execve`.
    Exec,
}

/// Exit code of a command that was not found, or whose name can name nothing (POSIX 2.8.2; dash sorts alike).
pub const EXIT_NOT_FOUND: i32 = 127;
/// Exit code of a command that was found and is not executable (POSIX 2.8.2).
pub const EXIT_NOT_EXECUTABLE: i32 = 126;

/// Starts the program, born in `cgroup` (a directory of cgroup v2), and returns when it runs or is known not to.
/// Cancelling kills and reaps it, whatever holds up its exec.
///
/// # Errors
/// The error of `clone3`, or of the thread that makes the call; nothing is left behind.
pub async fn spawn(image: Image, cgroup: Option<OwnedFd>) -> io::Result<Spawned> {
    crew::spawn(image, cgroup).await
}

#[cfg(test)]
mod tests;
