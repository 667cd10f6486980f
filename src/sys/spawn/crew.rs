//! The threads that stand still while a child has not executed yet.
//!
//! One of them stays and waits for work, without a timer. Another one is made only for a program that waits longer than
//! [`PATIENCE`] for the first, whose own may never execute; whoever finds nothing to do beside it ends.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::libc;
use tokio::sync::oneshot;

use super::plan::{Birth, Plan};
use super::vfork::vfork;
use super::{Image, Spawned};
use crate::sys::wait;

/// Ten to fifty times what a child needs to execute (measured), so that a burst of programs needs one thread.
const PATIENCE: Duration = Duration::from_millis(10);
/// A thread calls little beside the standard library; the child's stack is a part of it.
const STACK: usize = 96 << 10;

static CREW: Crew =
    Crew { state: Mutex::new(State { jobs: VecDeque::new(), idle: 0, threads: 0 }), work: Condvar::new() };

/// See [`super::spawn`].
pub(super) async fn spawn(image: Image, cgroup: Option<OwnedFd>) -> io::Result<Spawned> {
    let wanted = Wanted(Arc::default());
    let (tell, mut told) = oneshot::channel();
    let expected = Arc::clone(&wanted.0);
    let job = move || {
        let born = expected.bear(&image, cgroup.as_ref().map(AsFd::as_fd));
        // Its ends of pipes are closed before anybody reads the others.
        drop((image, cgroup));
        drop(tell.send(born));
    };
    let taken = CREW.submit(Box::new(job))?;
    let mut born = None;
    if !taken {
        born = tokio::time::timeout(PATIENCE, &mut told).await.ok();
        if born.is_none() {
            CREW.relieve();
        }
    }
    let born = match born {
        Some(born) => born,
        None => told.await,
    };
    let lost = || io::Error::from(io::ErrorKind::BrokenPipe);
    born.map_err(|_| lost())??.0.take().ok_or_else(lost)
}

/// Counts the threads: all, and those that have nothing to do.
#[cfg(test)]
pub(super) fn threads() -> (usize, usize) {
    let state = CREW.lock();
    (state.threads, state.idle)
}

/// Something that may block for ever.
type Job = Box<dyn FnOnce() + Send>;

/// A child that nobody has taken over yet: dropped, on its way or at its end, it is killed and reaped.
struct Unclaimed(Option<Spawned>);

impl Drop for Unclaimed {
    fn drop(&mut self) {
        let Some(child) = self.0.take() else { return };
        // ESRCH: it has just ended.
        let _ = wait::signal(child.pidfd.as_fd(), libc::SIGKILL);
        let reap = move || drop(wait::reap_at_last(child.pidfd.as_fd()));
        // Without a thread it stays until the agent ends.
        if CREW.submit(Box::new(reap)).is_ok() {
            CREW.relieve();
        }
    }
}

/// Kills the child when it is dropped before the end.
struct Wanted(Arc<Expected>);

/// A child that is wanted, and whether its descriptor is still the crew's.
#[derive(Debug, Default)]
struct Expected {
    birth: Birth,
    /// Guards the descriptor: nobody else signals it once this is true.
    over: Mutex<bool>,
}

impl Expected {
    fn over(&self) -> MutexGuard<'_, bool> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the child; returns when it runs its program, or never will.
    fn bear(&self, image: &Image, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Unclaimed> {
        if self.birth.abandoned.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let mut plan = Plan::new(image, &self.birth);
        let (pid, placed) = vfork(&mut plan, cgroup)?;
        *self.over() = true;
        #[expect(unsafe_code, reason = "takes over a descriptor that the kernel just made")]
        // SAFETY: the kernel stored a new descriptor here, and whoever else knows it uses it no more (`over`).
        let pidfd = unsafe { OwnedFd::from_raw_fd(self.birth.pidfd.load(Ordering::SeqCst)) };
        Ok(Unclaimed(Some(Spawned { pid: pid.cast_unsigned(), pidfd, failure: plan.failure, placed })))
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        let Expected { birth, .. } = &*self.0;
        let over = self.0.over();
        // Either the child is seen here, or it sees this.
        birth.abandoned.store(true, Ordering::SeqCst);
        if *over || birth.alive.load(Ordering::SeqCst) == 0 {
            return;
        }
        #[expect(unsafe_code, reason = "the kernel gave the number of a descriptor")]
        // SAFETY: there is a child, and the thread that made it takes its descriptor under this lock.
        let pidfd = unsafe { BorrowedFd::borrow_raw(birth.pidfd.load(Ordering::SeqCst)) };
        // ESRCH: it has just ended.
        let _ = wait::signal(pidfd, libc::SIGKILL);
    }
}

struct Crew {
    state: Mutex<State>,
    work: Condvar,
}

struct State {
    jobs: VecDeque<Job>,
    /// Threads that wait for work, or are on their way to it.
    idle: usize,
    threads: usize,
}

impl Crew {
    /// Hands a job over; says whether a thread is free for it.
    fn submit(&'static self, job: Job) -> io::Result<bool> {
        let mut state = self.lock();
        if state.threads == 0 {
            self.grow(&mut state)?;
        }
        state.jobs.push_back(job);
        let taken = state.jobs.len() <= state.idle;
        drop(state);
        self.work.notify_one();
        Ok(taken)
    }

    /// Adds a thread when jobs still wait. One that cannot be made is no error: the others may get to them.
    fn relieve(&'static self) {
        let mut state = self.lock();
        if state.jobs.len() > state.idle
            && let Err(error) = self.grow(&mut state)
        {
            tracing::warn!(%error, "no thread to start a program with");
        }
    }

    fn grow(&'static self, state: &mut State) -> io::Result<()> {
        std::thread::Builder::new().name("thawd-spawn".into()).stack_size(STACK).spawn(|| self.work())?;
        state.threads += 1;
        state.idle += 1;
        Ok(())
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.idle -= 1;
                drop(state);
                job();
                state = self.lock();
                state.idle += 1;
            } else if state.idle > 1 {
                state.idle -= 1;
                state.threads -= 1;
                return;
            } else {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
