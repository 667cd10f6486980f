//! The one map of programs: running by id and tag, ended for a while.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use super::launch::launch;
use super::output::{self, Log};
use super::spec::SpawnSpec;
use super::task::start;
use super::{Exit, Handle, ProcessError, Selector, Subscription};
use crate::activity::{Programs, Pulse};
use crate::base::{Lives, Tasks};
use crate::workload::Workload;

/// Ended programs that late readers can still ask for; the oldest goes first.
const EXITS_KEPT: usize = 1024;
/// Bytes of output that stay with each of the latest ended programs.
const OUTPUT_KEPT: usize = 64 << 10;
/// Ended programs that keep their output: 1 MiB in all.
const OUTPUTS_KEPT: usize = 16;

/// Bytes that ended programs may keep for readers that a pause took away; of more, the oldest are given up.
const OWED_KEPT: usize = 16 << 20;

/// Longest tag by which an ended program is found, in bytes: clients send short ones, and 1,024 long ones add up.
const TAG_KEPT: usize = 1024;

/// Says how programs are kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Bounds of each program's output.
    pub output: output::Settings,
}

/// Starts and finds programs; clones share the one map.
#[derive(Clone, Debug)]
pub struct Table {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    workload: Arc<Workload>,
    tasks: Tasks,
    lives: Lives,
    pulse: Pulse,
    map: Mutex<Map>,
    /// Programs whose task has not ended: they run, or descendants are left in their cgroup.
    owned: AtomicUsize,
    /// Told each time one of these tasks ends.
    released: Notify,
}

#[derive(Debug, Default)]
struct Map {
    running: HashMap<u32, Arc<Handle>>,
    /// Ids by tag, the latest last.
    tags: HashMap<String, Vec<u32>>,
    ended: VecDeque<Ended>,
    /// Those of the ended that somebody read when they ended, the latest last.
    read: Vec<Weak<Log>>,
    closed: bool,
}

/// Remembers a program that has ended.
#[derive(Debug)]
struct Ended {
    pid: u32,
    tag: Option<String>,
    log: Arc<Log>,
}

/// Holds a program that runs, and its output from the first byte.
#[derive(Debug)]
pub struct Started {
    /// Process id.
    pub pid: u32,
    /// Everything that it writes.
    pub output: Subscription,
}

/// Holds a program that was found, running or just ended, and its output from now or from where it was asked.
#[derive(Debug)]
pub struct Attached {
    /// Process id.
    pub pid: u32,
    /// What it writes; the end comes at once when it has ended.
    pub output: Subscription,
}

impl Table {
    /// Makes an empty table of programs that stand still when `lives` says so; what they do counts for `pulse`.
    #[must_use]
    pub fn new(settings: Settings, workload: Arc<Workload>, tasks: Tasks, lives: Lives, pulse: Pulse) -> Self {
        Self {
            inner: Arc::new(Inner {
                settings,
                workload,
                tasks,
                lives,
                pulse,
                map: Mutex::default(),
                owned: AtomicUsize::new(0),
                released: Notify::new(),
            }),
        }
    }

    /// Starts a program and returns when it runs, or is known not to. Giving up earlier leaves it running.
    ///
    /// A command that is not found is not an error: it "runs", says so on its stderr and ends with 127.
    ///
    /// # Errors
    /// See [`ProcessError`]; nothing is left behind.
    pub async fn start(&self, spec: SpawnSpec) -> Result<Started, ProcessError> {
        let (told, outcome) = oneshot::channel();
        if self.lock().closed {
            return Err(ProcessError::ShuttingDown);
        }
        let owned = Owned::new(self);
        let Inner { settings, workload, tasks, lives, pulse, .. } = &*self.inner;
        let place = (Arc::clone(workload), tasks.clone());
        let launched = launch(spec, settings.output, place, (lives.clone(), pulse.clone()));
        // What a start needs is in a place of its own, which goes when the program runs: programs run long.
        let started = Box::pin(start(launched, self.clone(), told));
        let table = self.clone();
        tasks.spawn(async move {
            if let Some(running) = started.await {
                running.follow(&table).await;
            }
            drop(owned);
        });
        outcome.await.unwrap_or(Err(ProcessError::ShuttingDown))
    }

    /// Finds a running program.
    ///
    /// # Errors
    /// [`ProcessError::NoPid`], [`ProcessError::NoTag`].
    pub fn find(&self, selector: &Selector) -> Result<Arc<Handle>, ProcessError> {
        let map = self.lock();
        let (pid, missing) = match selector {
            Selector::Pid(pid) => (Some(*pid), ProcessError::NoPid(*pid)),
            Selector::Tag(tag) => {
                (map.tags.get(tag).and_then(|pids| pids.last().copied()), ProcessError::NoTag(tag.clone()))
            }
        };
        pid.and_then(|pid| map.running.get(&pid)).cloned().ok_or(missing)
    }

    /// Follows a program that runs or has ended a while ago, from `offset` or from now.
    ///
    /// # Errors
    /// As [`Table::find`].
    pub fn attach(&self, selector: &Selector, offset: Option<u64>) -> Result<Attached, ProcessError> {
        let missing = match self.find(selector) {
            Ok(handle) => return Ok(Attached { pid: handle.pid, output: handle.subscribe(offset) }),
            Err(missing) => missing,
        };
        let map = self.lock();
        let found = map.ended.iter().rev().find(|ended| match selector {
            Selector::Pid(pid) => ended.pid == *pid,
            Selector::Tag(tag) => ended.tag.as_ref() == Some(tag),
        });
        found.map(|ended| Attached { pid: ended.pid, output: ended.log.subscribe(offset) }).ok_or(missing)
    }

    /// Lists the running programs, in the order of their ids.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Handle>> {
        let mut running: Vec<_> = self.lock().running.values().cloned().collect();
        running.sort_unstable_by_key(|handle| handle.pid);
        running
    }

    /// Counts the programs that run, but for the host's own, and what is left of those that ended.
    #[must_use]
    pub fn programs(&self) -> Programs {
        let map = self.lock();
        let mut found = Programs::default();
        for handle in map.running.values() {
            match (handle.system, handle.terminal.is_some()) {
                (true, _) => {}
                (_, true) => found.ptys += 1,
                (_, false) if handle.log.is_followed() => found.foreground += 1,
                (_, false) => found.background += 1,
            }
        }
        found.background += self.inner.owned.load(Ordering::Acquire).saturating_sub(map.running.len());
        found
    }

    /// Refuses new programs and kills all that run, and what is left of those that ended.
    pub fn shut_down(&self) {
        let running = {
            let mut map = self.lock();
            map.closed = true;
            map.running.values().cloned().collect::<Vec<_>>()
        };
        for handle in running {
            if let Err(error) = handle.kill() {
                tracing::debug!(pid = handle.pid, %error, "cannot kill at shutdown");
            }
        }
        self.inner.workload.kill_all();
    }

    /// Waits until nothing is left of any program, at most `limit`; says of how many something is.
    pub async fn emptied(&self, limit: Duration) -> usize {
        let deadline = Instant::now() + limit;
        loop {
            let released = self.inner.released.notified();
            let left = self.inner.owned.load(Ordering::Acquire);
            if left == 0 || timeout_at(deadline, released).await.is_err() {
                return left;
            }
        }
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.inner.tasks
    }

    /// Makes a program findable; says no when the agent is going down.
    pub(super) fn register(&self, handle: &Arc<Handle>) -> bool {
        let mut map = self.lock();
        map.ended.retain(|ended| ended.pid != handle.pid && (ended.tag.is_none() || ended.tag != handle.tag));
        if let Some(tag) = &handle.tag {
            map.tags.entry(tag.clone()).or_default().push(handle.pid);
        }
        map.running.insert(handle.pid, Arc::clone(handle));
        !map.closed
    }

    /// Moves a program from the running to the ended, in one step: a late reader finds it in one of both.
    pub(super) fn retire(&self, handle: &Arc<Handle>, exit: Exit) {
        let mut map = self.lock();
        map.running.remove(&handle.pid);
        if let Some(tag) = &handle.tag
            && let Some(pids) = map.tags.get_mut(tag)
        {
            pids.retain(|&pid| pid != handle.pid);
            if pids.is_empty() {
                map.tags.remove(tag);
            }
        }
        handle.log.finish(exit);
        handle.log.fade(OUTPUT_KEPT);
        let tag = handle.tag.clone().filter(|tag| tag.len() <= TAG_KEPT);
        map.ended.push_back(Ended { pid: handle.pid, tag, log: Arc::clone(&handle.log) });
        if map.ended.len() > EXITS_KEPT {
            map.ended.pop_front();
        }
        if let Some(older) = map.ended.len().checked_sub(OUTPUTS_KEPT + 1) {
            map.ended[older].log.fade(0);
        }
        map.owe(&handle.log);
        drop(map);
        self.inner.pulse.ended();
    }

    fn lock(&self) -> MutexGuard<'_, Map> {
        self.inner.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Map {
    /// Bounds what ended programs keep for readers that may come back; `log` has just ended.
    fn owe(&mut self, log: &Arc<Log>) {
        self.read.retain(|log| log.upgrade().is_some_and(|log| log.is_wanted()));
        if log.is_wanted() {
            self.read.push(Arc::downgrade(log));
        }
        let mut left = OWED_KEPT;
        for log in self.read.iter().rev().filter_map(Weak::upgrade) {
            match left.checked_sub(log.owed()) {
                Some(rest) => left = rest,
                None => log.give_up(),
            }
        }
    }
}

/// Counts one program's task.
struct Owned(Table);

impl Owned {
    fn new(table: &Table) -> Self {
        table.inner.owned.fetch_add(1, Ordering::AcqRel);
        Self(table.clone())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.inner.owned.fetch_sub(1, Ordering::AcqRel);
        self.0.inner.released.notify_waiters();
        self.0.inner.pulse.ended();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::watch;

    use super::super::output::Channel;
    use super::*;
    use crate::base::{Life, Phase};
    use crate::sys::wait;

    #[tokio::test]
    async fn what_ended_programs_owe_is_bounded_and_the_oldest_is_given_up() {
        let life = watch::Sender::new(Life::default());
        let mut map = Map::default();
        let mut logs = Vec::new();
        for _ in 0..20 {
            life.send_modify(|life| life.phase = Phase::Running);
            let log = Log::new(output::Settings::default(), Lives::new(life.subscribe()), Pulse::default());
            let reader = log.subscribe(None);
            life.send_modify(|life| life.phase = Phase::Frozen);
            drop(reader);
            log.push_last(Channel::Stdout, Bytes::from(vec![0; 1 << 20]));
            log.finish(Exit::new(wait::Ended::Code(0)));
            log.fade(0);
            map.owe(&log);
            logs.push(log);
        }
        let owed: Vec<_> = logs.iter().map(|log| log.owed()).collect();
        assert!(owed.iter().sum::<usize>() <= OWED_KEPT, "{owed:?}");
        assert_eq!(owed.iter().take_while(|&&bytes| bytes == 0).count(), 5, "{owed:?}");
        assert!(owed[5..].iter().all(|&bytes| bytes > 1 << 20), "{owed:?}");
    }
}
