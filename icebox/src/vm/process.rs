//! One QEMU process: started so that it dies with us, watched, and killed when nobody holds it any more.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open, pidfd_send_signal};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::sys;

/// What QEMU itself says, in the VM's folder.
pub(super) const LOG: &str = "qemu.log";
/// How long a killed QEMU may take to be gone: its memory has to be taken apart, 10 ms for 256 MiB.
const DEATH_LIMIT: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// A running QEMU. Dropping it kills it and waits until it is gone.
#[derive(Debug)]
pub(super) struct Process {
    /// Names the process and never another one, even after it was waited for.
    pidfd: OwnedFd,
    pid: u32,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    /// Starts QEMU in `folder`; returns also our end of its monitor.
    pub(super) async fn start(program: &Path, arguments: &[OsString], folder: &Path) -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let log = File::create(folder.join(LOG))?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).kill_on_drop(true);
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(log.try_clone()?).stderr(log);
        let child = sys::spawn(command).await?;
        let gone = || io::Error::other("it ended at once");
        let pid = child.id().ok_or_else(gone)?;
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(gone)?;
        let pidfd = pidfd_open(raw, PidfdFlags::empty())?;
        let (tell, exit) = watch::channel(None);
        tokio::spawn(watch_over(child, tell));
        Ok((Self { pidfd, pid, exit }, UnixStream::from_std(ours)?))
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.pid
    }

    /// Shares one of its open files, by the number that it has there.
    ///
    /// # Errors
    /// EBADF where it has none; EPERM where a process may not look into its children; ENOSYS before Linux 5.6.
    pub(super) fn open_file(&self, number: i32) -> io::Result<OwnedFd> {
        Ok(pidfd_getfd(&self.pidfd, number, PidfdGetfdFlags::empty())?)
    }

    /// Waits for its end, which may have been long ago.
    pub(super) fn ended(&self) -> impl Future<Output = Option<ExitStatus>> + Send + use<> {
        let mut exit = self.exit.clone();
        async move { exit.wait_for(Option::is_some).await.ok().and_then(|status| *status) }
    }

    /// Kills it; it may be gone already.
    pub(super) fn kill(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        // The descriptor becomes readable when the process is gone, waited for or not (pidfd_open(2)).
        let _ = poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&DEATH_LIMIT));
    }
}

/// Owns the child.
async fn watch_over(mut child: Child, tell: watch::Sender<Option<ExitStatus>>) {
    if let Ok(status) = child.wait().await {
        tell.send_replace(Some(status));
    }
}
