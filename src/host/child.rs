//! A process that may take too long.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::libc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::base::Tasks;
use crate::sys::poll;
use crate::sys::wait::{self, Ended};

/// Owns a child of ours until it has ended; dropping it kills.
pub(super) struct Child {
    pidfd: Option<AsyncFd<OwnedFd>>,
    tasks: Tasks,
}

impl Child {
    /// Takes a child over by its pidfd.
    ///
    /// # Errors
    /// When it cannot be followed; it is killed then.
    pub(super) fn new(pidfd: OwnedFd, tasks: &Tasks) -> io::Result<Self> {
        let copy = pidfd.try_clone()?;
        match poll::register(pidfd, Interest::READABLE) {
            Ok(pidfd) => Ok(Self { pidfd: Some(pidfd), tasks: tasks.clone() }),
            Err(error) => {
                let _ = wait::signal(copy.as_fd(), libc::SIGKILL);
                Err(error)
            }
        }
    }

    /// Waits for its end, at most `limit`. Cancelling kills it.
    ///
    /// # Errors
    /// `TimedOut`: it was killed, and is reaped as soon as the kernel lets it go.
    pub(super) async fn end(mut self, limit: Duration) -> io::Result<Ended> {
        let Some(pidfd) = &self.pidfd else { return Err(io::ErrorKind::NotFound.into()) };
        let ended = tokio::time::timeout(limit, end(pidfd)).await.map_err(|_| io::ErrorKind::TimedOut)?;
        self.pidfd = None;
        ended
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let Some(pidfd) = self.pidfd.take() else { return };
        // ESRCH: it has just ended.
        let _ = wait::signal(pidfd.get_ref().as_fd(), libc::SIGKILL);
        // Without a runtime, the agent itself is going down.
        if tokio::runtime::Handle::try_current().is_ok() {
            self.tasks.spawn(async move {
                let _ = end(&pidfd).await;
            });
        }
    }
}

async fn end(pidfd: &AsyncFd<OwnedFd>) -> io::Result<Ended> {
    loop {
        let mut ready = pidfd.readable().await?;
        if let Some(ended) = wait::reap(pidfd.get_ref().as_fd())? {
            return Ok(ended);
        }
        ready.clear_ready();
    }
}
