//! Waiting until cgroups stand still.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

use super::cgroup;
use crate::sys::poll;

/// Events taken from the kernel at once.
const BATCH: usize = 32;

/// Counts how a wait ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settled {
    /// Stand still, or have gone.
    pub(super) frozen: usize,
    /// Still run.
    pub(super) not_frozen: usize,
    /// Do not say.
    pub(super) failed: usize,
}

/// Looks at all cgroups, and waits at most `wait` for those that still run: one wait for all, so that the slowest
/// sets the time. The kernel tells (POLLPRI on `cgroup.events`); nothing is polled. Cancelling it changes nothing.
pub(super) async fn settle(cgroups: &[PathBuf], wait: Option<Duration>) -> Settled {
    let deadline = wait.map(|wait| Instant::now() + wait);
    let mut pending = Pending::default();
    for cgroup in cgroups {
        match cgroup::open_events(cgroup) {
            Ok(file) => pending.add(file),
            Err(error) => pending.judge(Err(error)),
        }
    }
    if let Some(deadline) = deadline
        && pending.running > 0
    {
        // Where there is no epoll (no descriptor is free) the time is waited out and the state read at its end.
        let _ = timeout_at(deadline, async {
            if let Err(error) = pending.follow().await {
                tracing::warn!(%error, "cannot wait for cgroups to stand still");
                std::future::pending::<()>().await;
            }
        })
        .await;
    }
    pending.finish()
}

/// Cgroups that still run, by number.
#[derive(Default)]
struct Pending {
    files: Vec<Option<File>>,
    running: usize,
    settled: Settled,
}

impl Pending {
    fn add(&mut self, file: File) {
        self.files.push(Some(file));
        self.running += 1;
        self.look(self.files.len() - 1);
    }

    /// Reads the state of one cgroup, which also arms its next event.
    fn look(&mut self, index: usize) {
        let Some(Some(file)) = self.files.get(index) else { return };
        let state = cgroup::events(file).map(|events| events.frozen);
        if matches!(state, Ok(false)) {
            return;
        }
        // Closing the file takes it out of the epoll.
        self.files[index] = None;
        self.running -= 1;
        self.judge(state);
    }

    fn judge(&mut self, state: io::Result<bool>) {
        match state {
            Ok(true) => self.settled.frozen += 1,
            Ok(false) => self.settled.not_frozen += 1,
            // Nothing runs in a cgroup that is not there.
            Err(error) if cgroup::vanished(&error) => self.settled.frozen += 1,
            Err(_) => self.settled.failed += 1,
        }
    }

    /// Waits until none is left.
    async fn follow(&mut self) -> io::Result<()> {
        let epoll = poll::register(self.watch()?, Interest::READABLE)?;
        while self.running > 0 {
            let mut ready = epoll.readable().await?;
            self.drain(&epoll)?;
            ready.clear_ready();
        }
        Ok(())
    }

    /// Gathers the priority events of all in one descriptor, so that the runtime knows one and not hundreds.
    fn watch(&self) -> io::Result<OwnedFd> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (index, file) in (0u64..).zip(&self.files) {
            if let Some(file) = file {
                match epoll::add(&epoll, file, epoll::EventData::new_u64(index), epoll::EventFlags::PRI) {
                    // A plain file has no events; it is read again at the end.
                    Ok(()) | Err(rustix::io::Errno::PERM) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(epoll)
    }

    fn drain(&mut self, epoll: &AsyncFd<OwnedFd>) -> io::Result<()> {
        let mut events = Vec::with_capacity(BATCH);
        loop {
            events.clear();
            let spare = rustix::buffer::spare_capacity(&mut events);
            if epoll::wait(epoll.get_ref(), spare, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? == 0 {
                return Ok(());
            }
            for event in &events {
                self.look(usize::try_from(event.data.u64()).unwrap_or(usize::MAX));
            }
        }
    }

    fn finish(mut self) -> Settled {
        for index in 0..self.files.len() {
            self.look(index);
        }
        self.settled.not_frozen += self.running;
        self.settled
    }
}
