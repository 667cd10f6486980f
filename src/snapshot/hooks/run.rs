//! One program, from the fork to the removal of its cgroup.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nix::libc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout, timeout_at};

use super::{HookError, Outcome};
use crate::base::Tasks;
use crate::sys::spawn::{Image, Spawned, Stage};
use crate::sys::wait::{self, Ended};
use crate::sys::{fd, poll};
use crate::workload::{self, Class, Leaf, Workload};

/// Bytes of output that are kept: the last ones, which say why it failed.
pub(super) const OUTPUT: usize = 4096;
/// How long SIGKILL may take to end a program before it is left alone. It takes about 1 ms but for an uninterruptible
/// wait (measured, 10 ms on a busy machine); the rest of the promised 50 ms is the scheduler's.
const GRACE: Duration = Duration::from_millis(20);
/// Bytes read at once.
const STEP: usize = 4096;
/// Reads after the end: a whole pipe of the default capacity (64 KiB, pipe(7)).
const LAST_READS: usize = 16;
/// Bytes that what a hook left behind may still write; then its pipe breaks, so that no endless writer keeps us busy.
const LATER_OUTPUT: usize = 1 << 20;

/// What is to be run.
pub(super) struct Program {
    pub(super) path: CString,
    /// The only argument.
    pub(super) argument: CString,
    pub(super) environment: Vec<CString>,
}

/// Runs a program until it ends, or for `limit`, whatever it does; returns 20 ms after that at the latest. Dropping
/// it kills the program and its descendants.
///
/// Descendants of a program that ended in time live on: a hook may hold a lock for the time of the freeze that way.
pub(super) async fn run(
    name: String,
    program: &Program,
    limit: Duration,
    workload: &Arc<Workload>,
    tasks: &Tasks,
) -> Outcome {
    let began = Instant::now();
    let mut tail = Tail::default();
    let deadline = began + limit;
    let ended = match timeout_at(deadline, Child::start(program, workload, tasks)).await {
        Ok(Ok(mut child)) => child.follow(deadline, limit, &mut tail).await,
        Ok(Err(error)) => Err(HookError::Start(error)),
        Err(_) => Err(HookError::Late(limit)),
    };
    let (exit_code, error) = match ended {
        Ok(Ended::Code(0)) => (Some(0), None),
        Ok(Ended::Code(code)) => (Some(code), Some(HookError::Code(code))),
        Ok(Ended::Signal { number, .. }) => (None, Some(HookError::Signal(number))),
        Err(error) => (None, Some(error)),
    };
    Outcome { name, took: began.elapsed(), exit_code, error, output: tail.finish() }
}

/// Holds a program that was started. Dropping it kills what it has not seen the end of.
struct Child {
    parts: Arc<Parts>,
    output: Arc<AsyncFd<OwnedFd>>,
    /// Says why the program could not be executed.
    failure: Option<(Stage, i32)>,
    workload: Arc<Workload>,
    tasks: Tasks,
    over: bool,
}

/// What is to be given back: the number, and the cgroup.
struct Parts {
    pid: u32,
    pidfd: AsyncFd<Arc<OwnedFd>>,
    leaf: Option<Leaf>,
}

impl Child {
    /// Cancelling kills it.
    async fn start(program: &Program, workload: &Arc<Workload>, tasks: &Tasks) -> io::Result<Self> {
        let (output, theirs) = fd::pipe()?;
        let input = Arc::new(fd::null()?);
        let theirs = Arc::new(theirs);
        fd::set_nonblocking(output.as_fd())?;
        let output = poll::register(output, Interest::READABLE)?;
        let image = Image {
            candidates: vec![program.path.clone()],
            argv: vec![program.path.clone(), program.argument.clone()],
            envp: program.environment.clone(),
            cwd: c"/".to_owned(),
            credentials: None,
            stdio: [input, Arc::clone(&theirs), theirs],
            terminal: false,
        };
        let (spawned, leaf) = workload::start(image, workload.place(Class::Hook), tasks).await?;
        let Spawned { pid, pidfd, failure, .. } = spawned;
        let pidfd = Arc::new(pidfd);
        // A child that cannot be followed is not left running.
        let pidfd = poll::register(Arc::clone(&pidfd), Interest::READABLE)
            .inspect_err(|_| kill(pid, &pidfd, leaf.as_ref(), workload))?;
        Ok(Self {
            parts: Arc::new(Parts { pid, pidfd, leaf }),
            output: Arc::new(output),
            failure,
            workload: Arc::clone(workload),
            tasks: tasks.clone(),
            over: false,
        })
    }

    async fn follow(&mut self, deadline: Instant, limit: Duration, tail: &mut Tail) -> Result<Ended, HookError> {
        let followed = timeout_at(deadline, self.end_with_output(tail)).await;
        let Ok(ended) = followed else {
            self.kill();
            self.over = true;
            let died = timeout(GRACE, self.parts.end()).await.is_ok();
            self.read_the_rest(tail);
            return Err(if died { HookError::Late(limit) } else { HookError::Abandoned(limit) });
        };
        self.over = true;
        self.read_the_rest(tail);
        let ended = ended.map_err(HookError::Follow)?;
        match self.failure {
            Some((_, errno)) => Err(HookError::Start(io::Error::from_raw_os_error(errno))),
            None => Ok(ended),
        }
    }

    /// Waits for the end, reading meanwhile, so that a full pipe holds up nobody.
    async fn end_with_output(&self, tail: &mut Tail) -> io::Result<Ended> {
        let mut open = true;
        loop {
            tokio::select! {
                biased;
                ended = self.parts.end() => return ended,
                more = self.output.async_io(Interest::READABLE, |file| tail.read(file)), if open => {
                    open = matches!(more, Ok(1..));
                }
            }
        }
    }

    /// Reads what is in the pipe; not to its end, which a descendant can hold off for ever.
    fn read_the_rest(&self, tail: &mut Tail) {
        for _ in 0..LAST_READS {
            if !matches!(tail.read(self.output.get_ref()), Ok(1..)) {
                break;
            }
        }
    }

    fn kill(&self) {
        kill(self.parts.pid, self.parts.pidfd.get_ref(), self.parts.leaf.as_ref(), &self.workload);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.over {
            self.kill();
        }
        if self.parts.is_over() && (self.parts.leaf.is_some() || is_closed(&self.output)) {
            return;
        }
        // Without a runtime, the agent itself is going down.
        if tokio::runtime::Handle::try_current().is_ok() {
            self.tasks.spawn(settle(Arc::clone(&self.parts), Arc::clone(&self.output)));
        }
    }
}

impl Parts {
    /// Waits for the end and tells how it came; the number stays taken.
    async fn end(&self) -> io::Result<Ended> {
        loop {
            let mut ready = self.pidfd.readable().await?;
            if let Some(ended) = wait::ended(self.pidfd.get_ref().as_fd())? {
                return Ok(ended);
            }
            ready.clear_ready();
        }
    }

    /// Gives back what can be; says whether that was all.
    fn is_over(&self) -> bool {
        let pidfd = self.pidfd.get_ref().as_fd();
        if matches!(wait::ended(pidfd), Ok(None)) {
            return false;
        }
        let _ = wait::reap(pidfd);
        self.leaf.as_ref().is_none_or(|leaf| leaf.remove().is_ok())
    }
}

/// Waits, without a timer, until the last of a program has gone.
async fn settle(parts: Arc<Parts>, output: Arc<AsyncFd<OwnedFd>>) {
    let _ = parts.end().await;
    let mut tail = Tail::default();
    while tail.total < LATER_OUTPUT
        && matches!(output.async_io(Interest::READABLE, |file| tail.read(file)).await, Ok(1..))
    {}
    drop((output, tail));
    if parts.is_over() {
        return;
    }
    if let Some(leaf) = &parts.leaf {
        leaf.removed().await;
    }
}

/// The leader first: a shell that sees its child die would go on with the next command.
fn kill(pid: u32, pidfd: &OwnedFd, leaf: Option<&Leaf>, workload: &Workload) {
    let family = if leaf.is_some() { Vec::new() } else { workload.family(pid, None) };
    // ESRCH: it has just ended.
    let _ = wait::signal(pidfd.as_fd(), libc::SIGKILL);
    workload.signal_family(&family, leaf, libc::SIGKILL);
}

fn is_closed(output: &AsyncFd<OwnedFd>) -> bool {
    matches!(Tail::default().read(output.get_ref()), Ok(0))
}

/// Keeps the last bytes of a stream.
#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
    /// Bytes that went by.
    total: usize,
}

impl Tail {
    /// Reads once and counts; 0 at the end.
    fn read(&mut self, file: &OwnedFd) -> io::Result<usize> {
        let mut step = [0; STEP];
        let count = rustix::io::read(file, &mut step)?;
        self.total += count;
        self.bytes.extend_from_slice(&step[..count]);
        if self.bytes.len() > 2 * OUTPUT {
            let start = self.bytes.len() - OUTPUT;
            self.bytes.drain(..start);
        }
        Ok(count)
    }

    fn finish(mut self) -> Bytes {
        let start = self.bytes.len().saturating_sub(OUTPUT);
        self.bytes.drain(..start);
        Bytes::from(self.bytes)
    }
}
