//! The one task that owns a child: from the fork to the removal of its cgroup.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use super::ProcessError;
use super::deadline::Deadline;
use super::exit::Exit;
use super::handle::Handle;
use super::output::Channel;
use super::reader::{End, Ending, Reader};
use super::table::{Started, Table};
use crate::sys::poll;
use crate::sys::spawn::Stage;
use crate::sys::wait::{self, Ended};
use crate::workload::Leaf;

/// Owns one child, which runs its program or could not.
pub(super) struct Child {
    pub(super) handle: Arc<Handle>,
    /// Says why the program could not be executed.
    pub(super) failure: Option<(Stage, i32)>,
    /// Where to read its output: a terminal, or two pipes.
    pub(super) output: Vec<(Channel, OwnedFd)>,
    pub(super) cwd: PathBuf,
    pub(super) user: String,
    /// When it is killed.
    pub(super) deadline: Deadline,
}

/// Starts a program and makes it findable; `None` when it did not start. `told` learns that, and that nobody listens
/// changes nothing.
pub(super) async fn start(
    launched: impl Future<Output = Result<Child, ProcessError>>,
    table: Table,
    told: oneshot::Sender<Result<Started, ProcessError>>,
) -> Option<Running> {
    let (handle, begun) = match launched.await {
        Ok(child) => (Arc::clone(&child.handle), child.begin(&table)),
        Err(error) => {
            let _ = told.send(Err(error));
            return None;
        }
    };
    match begun {
        Err(error) => {
            // The child has ended or is about to: it reported a failure, or cannot be watched and is killed.
            let _ = handle.kill();
            wait_for_end(&handle.pidfd).await;
            let _ = wait::reap(handle.pidfd.as_fd());
            removed(handle.leaf.clone()).await;
            let _ = told.send(Err(error));
            None
        }
        Ok(running) => {
            let output = handle.subscribe(Some(0));
            if !table.register(&handle) {
                let _ = handle.kill();
            }
            let _ = told.send(Ok(Started { pid: handle.pid, output }));
            Some(running)
        }
    }
}

impl Child {
    /// Begins to watch it and to read its output.
    fn begin(self, table: &Table) -> Result<Running, ProcessError> {
        let watching = |source| ProcessError::Machine { verb: "watch the process", source };
        let pidfd = poll::register(Arc::clone(&self.handle.pidfd), Interest::READABLE).map_err(watching)?;
        if let Some((stage, errno)) = self.failure {
            let source = io::Error::from_raw_os_error(errno);
            let message = explain(&self.handle, stage, source, self.cwd, self.user)?;
            let channel = self.output.last().map_or(Channel::Stderr, |(channel, _)| *channel);
            self.handle.log.push_last(channel, message);
        }
        let end = Arc::new(End::default());
        let mut settled = Vec::with_capacity(self.output.len());
        for (channel, file) in self.output {
            let reader = Reader::new(file, channel, Arc::clone(&self.handle.log)).map_err(watching)?;
            let (tell, wait) = oneshot::channel();
            table.tasks().spawn(reader.run(Arc::clone(&end), tell));
            settled.push(wait);
        }
        Ok(Running { handle: self.handle, pidfd, end, settled, deadline: self.deadline })
    }
}

/// Follows a program that was started.
pub(super) struct Running {
    handle: Arc<Handle>,
    pidfd: AsyncFd<Arc<OwnedFd>>,
    end: Arc<End>,
    settled: Vec<oneshot::Receiver<()>>,
    deadline: Deadline,
}

impl Running {
    /// Follows the program to its end, and what is left of it to the removal of its cgroup.
    ///
    /// No `async fn`: that would hold all of this twice.
    pub(super) fn follow(self, table: &Table) -> impl Future<Output = ()> {
        let Self { handle, pidfd, end, settled, mut deadline } = self;
        async move {
            // The one that waits for it, so that the place for a waiter in the registration is free.
            if deadline.by(poll_fn(|context| pidfd.poll_read_ready(context).map(drop))).await.is_none()
                && let Err(error) = handle.kill()
            {
                tracing::warn!(pid = handle.pid, %error, "cannot kill at the deadline");
            }
            poll_fn(|context| pidfd.poll_read_ready(context).map(drop)).await;
            handle.input.close();
            let killed = handle.killed.load(Ordering::Acquire);
            end.tell(if killed { Ending::Urgent } else { Ending::Quiet });
            for settled in settled {
                let _ = settled.await;
            }
            // Its number is free from here: nobody may find it in the table any more.
            let ended = wait::reap(handle.pidfd.as_fd());
            table.retire(&handle, Exit::new(told(ended)));
            // Whoever waits for the end is told first.
            tokio::task::yield_now().await;
            drop(pidfd);
            let leaf = handle.leaf.clone();
            drop(handle);
            Box::pin(removed(leaf)).await;
        }
    }
}

/// Waits until a program's cgroup is removed.
async fn removed(leaf: Option<Arc<Leaf>>) {
    if let Some(leaf) = leaf {
        leaf.removed().await;
    }
}

/// Decides who is told of a failed start: the caller, or (a command that is not there) the reader of its stderr.
fn explain(
    handle: &Handle,
    stage: Stage,
    source: io::Error,
    cwd: PathBuf,
    user: String,
) -> Result<Bytes, ProcessError> {
    let program = handle.command.program.clone();
    match stage {
        Stage::Stdio => Err(ProcessError::Machine { verb: "set up stdio of the process", source }),
        Stage::Credentials => Err(ProcessError::Switch { user, source }),
        Stage::Folder if source.kind() == io::ErrorKind::NotFound => Err(ProcessError::NoFolder(cwd)),
        Stage::Folder => Err(ProcessError::Folder { program, cwd, source }),
        Stage::Exec => match source.raw_os_error() {
            Some(nix::libc::E2BIG | nix::libc::ENOMEM | nix::libc::EAGAIN) => {
                Err(ProcessError::Start { program, source })
            }
            errno => {
                let why = errno.map_or("failed", |errno| nix::errno::Errno::from_raw(errno).desc());
                let end = if handle.terminal.is_some() { "\r\n" } else { "\n" };
                Ok(Bytes::from(format!("exec: '{program}': {why}{end}")))
            }
        },
    }
}

async fn wait_for_end(pidfd: &Arc<OwnedFd>) {
    if let Ok(pidfd) = poll::register(Arc::clone(pidfd), Interest::READABLE) {
        let _ = pidfd.readable().await;
    }
}

/// Reads the status of a process whose pidfd said that it ended.
fn told(ended: io::Result<Option<Ended>>) -> Ended {
    match ended {
        Ok(Some(ended)) => ended,
        lost => {
            // Somebody else reaped our child (SIGCHLD ignored, a stray wait).
            tracing::error!(error = ?lost.err(), "the exit status of a process is lost");
            Ended::Code(-1)
        }
    }
}
