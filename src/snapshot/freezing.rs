//! The way down: everything that happens before the machine may be stopped.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::disk::{Outcome, Refusal};
use super::driver::{Driver, Ended};
use super::hooks::Context;
use super::ledger::Entry;
use super::options::{Freeze, LEASE};
use super::report::Recorder;
use super::resume::Manifest;
use super::state::{Freezing, Hold};
use super::{SnapshotError, memory};
use crate::base::{Phase, sentence};
use crate::workload::{Counts, Mode};

/// For clients to be told, and for what was told to reach them.
const PART: Duration = Duration::from_secs(1);
/// Share of the deadline that writing back may take while programs still run, in percent.
const PRESYNC_SHARE: u32 = 60;
/// For programs to stand still; what does not by then waits uninterruptibly, perhaps for ever.
const SETTLE: Duration = Duration::from_secs(2);
/// For the second write-back: the first one left little.
const SECOND_SYNC: Duration = Duration::from_secs(2);
/// Stack of a thread that writes back or freezes filesystems; nothing there recurses.
const STACK: usize = 128 << 10;
/// Programs named in a report.
const STRAGGLERS: usize = 16;

impl Driver {
    /// Freezes, or undoes what was done of it: at the deadline, when `reply` or `cancels` say so, or at a failure.
    pub(super) async fn freeze(
        &mut self,
        options: &Freeze,
        cancels: &mut mpsc::Receiver<oneshot::Sender<bool>>,
        reply: &mut oneshot::Sender<Result<Ended, SnapshotError>>,
    ) -> Result<Ended, SnapshotError> {
        if self.machine.freeze() == Freezing::Already
            && let Some(report) = self.shown.lock().last_freeze.clone()
        {
            if options.disk && report.filesystems.is_empty() {
                return Err(SnapshotError::NotDisk);
            }
            return Ok(Ended { generation: self.machine.generation(), report });
        }
        self.publish(|_| {});
        let mut recorder = Recorder::new(self.settings.crash.clone());
        let mut cancelled = None;
        let result = {
            let work = timeout(options.deadline, self.stop_everything(options, &mut recorder));
            tokio::select! {
                result = work => result.unwrap_or(Err(SnapshotError::Late(options.deadline))),
                Some(by) = cancels.recv() => {
                    cancelled = Some(by);
                    Err(SnapshotError::Cancelled)
                }
                () = reply.closed() => Err(SnapshotError::Cancelled),
            }
        };
        if let Err(error) = result {
            tracing::warn!(error = sentence(&error), "the freeze is undone");
            self.unwind().await;
            if let Some(by) = cancelled {
                let _ = by.send(true);
            }
            return Err(error);
        }
        self.machine.settle(Hold::Whole);
        self.arm(options.lease);
        let report = std::sync::Arc::new(recorder.finish());
        self.shown.lock().last_freeze = Some(std::sync::Arc::clone(&report));
        self.publish(|_| {});
        Ok(Ended { generation: self.machine.generation(), report })
    }

    async fn stop_everything(&mut self, options: &Freeze, recorder: &mut Recorder) -> Result<(), SnapshotError> {
        self.ask_hooks(options, recorder).await?;
        self.publish(|life| life.partings += 1);
        let left = recorder.wait("part clients", (self.around.part)(PART)).await;
        if left > 0 {
            recorder.report.degradations.push(format!("{left} connections did not close in time"));
        }
        self.write_back(options, recorder).await;
        self.make_room(options, recorder).await;
        self.stop_programs(options, recorder).await?;
        self.settle_disk(options, recorder).await?;
        recorder.step("park", |_| memory::trim());
        Ok(())
    }

    async fn ask_hooks(&mut self, options: &Freeze, recorder: &mut Recorder) -> Result<(), SnapshotError> {
        let budget = options.hooks.min(options.deadline);
        let context = Context {
            generation: self.machine.generation(),
            stop_at_failure: options.abort_on_hook,
            ..Context::default()
        };
        self.hooked = true;
        let (hooks, notifier) = (&self.hooks, &self.notifier);
        let asked =
            async { tokio::join!(hooks.freeze(budget, &context), notifier.will_freeze(budget, context.generation)) };
        let (mut outcomes, listeners) = recorder.wait("hooks", asked).await;
        outcomes.extend(listeners);
        let refused = outcomes.iter().find(|outcome| outcome.failed()).map(|outcome| outcome.name.clone());
        recorder.report.hooks = outcomes;
        match refused {
            Some(name) if options.abort_on_hook => Err(SnapshotError::Refused(name)),
            _ => Ok(()),
        }
    }

    /// Writes back while programs still run, so that they stand still for a shorter time.
    async fn write_back(&mut self, options: &Freeze, recorder: &mut Recorder) {
        let (disk, presync) = (self.disk.clone(), options.presync);
        let ((tell_opened, opened), (tell_synced, synced)) = (oneshot::channel(), oneshot::channel());
        // One thread for both: each new one waits for its turn among the programs, which still run.
        start(move || {
            if tell_opened.send(disk.open()).is_ok() && presync {
                let _ = tell_synced.send(disk.sync());
            }
        });
        let open = recorder.wait("open filesystems", opened).await;
        for (mount, error) in open.unwrap_or_default() {
            recorder.report.degradations.push(format!("open {}: {error}", mount.path.display()));
        }
        if options.presync {
            let limit = options.deadline * PRESYNC_SHARE / 100;
            let synced = recorder.wait("write back", timeout(limit, synced)).await;
            match synced {
                Err(_) => recorder.report.degradations.push(format!("write back: not done within {limit:?}")),
                Ok(failed) => complain(recorder, "write back", failed.ok()),
            }
        }
    }

    async fn make_room(&mut self, options: &Freeze, recorder: &mut Recorder) {
        if options.trim {
            let disk = self.disk.clone();
            let failed = recorder.wait("trim", blocking(move || disk.trim())).await;
            complain(recorder, "trim", failed);
        }
        if let Some(target) = options.memory_target {
            let cgroups = self.freezer.workload();
            // The closure outlives a freeze that is cancelled; its end is near then, since each step is short.
            let work = blocking(move || memory::reclaim(&cgroups, target, || false));
            if recorder.wait("reclaim", work).await.is_none_or(|reclaimed| reclaimed.unsupported) {
                recorder.report.degradations.push(String::from("reclaim: this kernel cannot"));
            }
        }
        if options.drop_caches {
            let dropped = recorder.wait("drop caches", blocking(memory::drop_page_cache)).await;
            if let Some(Err(error)) = dropped {
                recorder.report.degradations.push(format!("drop caches: {error}"));
            }
        }
    }

    async fn stop_programs(&mut self, options: &Freeze, recorder: &mut Recorder) -> Result<(), SnapshotError> {
        self.write_down(options.mode).await;
        self.guard.start();
        self.guard.cgroups(&self.freezer);
        let counts = recorder.wait("freeze programs", self.freezer.freeze(options.mode, Some(SETTLE))).await;
        self.guard.cgroups(&self.freezer);
        recorder.report.cgroups_frozen = counts.frozen;
        if counts.unobservable > 0 {
            recorder.report.degradations.push(String::from("no cgroups: programs are not stopped"));
        }
        if counts.truncated {
            recorder.report.degradations.push(String::from("too many cgroups: some programs are not stopped"));
        }
        let running = counts.not_frozen + counts.failed;
        if running > 0 {
            recorder.report.stragglers = self.freezer.stragglers(STRAGGLERS);
            if options.abort_on_straggler {
                return Err(SnapshotError::Stragglers(running));
            }
            recorder.report.degradations.push(format!("{running} cgroups do not stand still"));
        }
        Ok(())
    }

    /// Writes down for a successor what is about to be frozen.
    async fn write_down(&mut self, mode: Mode) {
        self.freezer.prepare(mode).await;
        self.write_ledger();
    }

    fn write_ledger(&self) {
        let mut filesystems = self.disk.devices();
        filesystems.extend(self.root.devices());
        let workload = self.freezer.record().map(|record| record.to_lines()).unwrap_or_default();
        if let Err(error) = self.ledger.write(&Entry { filesystems, workload, agent: 0 }) {
            tracing::warn!(%error, "a successor could not learn what is frozen");
        }
    }

    async fn settle_disk(&mut self, options: &Freeze, recorder: &mut Recorder) -> Result<(), SnapshotError> {
        let disk = self.disk.clone();
        let rest = options.presync.then(|| blocking(move || disk.sync()));
        // While the disk works.
        let ports = &self.around.ports;
        self.manifest = recorder.step("list connections", |report| match Manifest::take(ports) {
            Ok(manifest) => Some(manifest),
            Err(error) => {
                report.degradations.push(format!("connections cannot be ended after the resume: {error}"));
                None
            }
        });
        if let Some(rest) = rest
            && recorder.wait("write back the rest", timeout(SECOND_SYNC, rest)).await.is_err()
        {
            recorder.report.degradations.push(format!("write back the rest: not done within {SECOND_SYNC:?}"));
        }
        self.clocks.mark();
        if options.disk {
            let (disk, guard) = (self.disk.clone(), self.guard.start());
            let work = blocking(move || disk.freeze(guard.as_deref()));
            let outcomes = recorder.wait("freeze filesystems", work).await.ok_or_else(no_thread)?;
            let failed = outcomes.iter().find_map(failure);
            recorder.report.filesystems = outcomes;
            if let Some((path, refusal)) = failed {
                return Err(SnapshotError::Filesystem(path, refusal));
            }
        }
        Ok(())
    }

    /// Stops the workload for a host with envd's protocol; `None` when it gave up waiting. What was frozen stays
    /// frozen then, until the host's `/unfreeze` or the watchdog.
    pub(super) async fn freeze_workload(
        &mut self,
        mode: Mode,
        wait: Option<Duration>,
        reply: &mut oneshot::Sender<Counts>,
    ) -> Option<Counts> {
        let before = self.machine;
        self.machine.freeze_workload();
        self.write_down(mode).await;
        self.guard.start();
        self.guard.cgroups(&self.freezer);
        let counts = tokio::select! {
            counts = self.freezer.freeze(mode, wait) => Some(counts),
            () = reply.closed() => None,
        };
        self.guard.cgroups(&self.freezer);
        if before.phase() != Phase::Frozen {
            let ports = &self.around.ports;
            self.manifest = Manifest::take(ports).ok();
            self.clocks.mark();
        }
        let told = counts.is_none_or(|counts| counts.requested > 0) || before.phase() == Phase::Frozen;
        if told && self.freezer.in_effect() {
            let lease = self.lease.filter(|_| before.phase() == Phase::Frozen);
            self.machine.settle(Hold::Workload);
            self.arm(LEASE);
            self.lease = lease.or(self.lease);
            memory::trim();
            self.publish(|_| {});
        } else {
            // There is nothing that could be frozen.
            self.machine = before;
            let _ = self.freezer.thaw();
            self.let_guard_go();
        }
        counts
    }

    /// Freezes the filesystem of `/`.
    pub(super) async fn freeze_root(
        &mut self,
        reply: &mut oneshot::Sender<Result<(), SnapshotError>>,
    ) -> Result<(), SnapshotError> {
        if self.root.is_frozen() {
            return Ok(());
        }
        let root = self.root.clone();
        let opened = blocking(move || root.open_root()).await.unwrap_or_else(|| Err(std::io::ErrorKind::Other.into()));
        opened.map_err(|source| SnapshotError::Machine { verb: "open /", source })?;
        self.write_ledger();
        let (root, guard) = (self.root.clone(), self.guard.start());
        let work = blocking(move || root.freeze(guard.as_deref()));
        let outcomes = tokio::select! {
            outcomes = work => outcomes,
            () = reply.closed() => {
                self.thaw_root().await?;
                return Err(SnapshotError::Cancelled);
            }
        };
        let Some(outcomes) = outcomes else {
            self.let_guard_go();
            return Err(no_thread());
        };
        if self.lease.is_none() {
            self.arm(LEASE);
        }
        match outcomes.into_iter().next().map(|outcome| outcome.result) {
            None | Some(Ok(()) | Err(Refusal::Foreign)) => Ok(()),
            Some(Err(refusal)) => {
                self.let_guard_go();
                Err(SnapshotError::Filesystem(String::from("/"), refusal))
            }
        }
    }
}

/// Names a filesystem that must be frozen and is not; kinds without a freeze, and those that others froze, are told
/// in the report only.
fn failure(outcome: &Outcome) -> Option<(String, Refusal)> {
    match &outcome.result {
        Err(refusal @ Refusal::Failed(_)) => Some((outcome.mount.path.display().to_string(), refusal.clone())),
        _ => None,
    }
}

/// Nothing was frozen, and that must not pass for a success.
fn no_thread() -> SnapshotError {
    let source = std::io::Error::other("no thread did it");
    SnapshotError::Machine { verb: "freeze filesystems", source }
}

fn complain(recorder: &mut Recorder, what: &str, failed: Option<Vec<(super::disk::Mount, std::io::Error)>>) {
    for (mount, error) in failed.unwrap_or_default() {
        recorder.report.degradations.push(format!("{what} {}: {error}", mount.path.display()));
    }
}

/// Starts work that may wait for a disk on a thread of its own, at once; `None` when that panicked or there is no
/// thread. Dropping the future leaves the thread behind.
fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = Option<T>> {
    let (tell, told) = oneshot::channel();
    start(move || {
        let _ = tell.send(work());
    });
    async { told.await.ok() }
}

/// Starts a thread, or drops what it was to do.
///
/// Not one of the runtime's: those stay for a while, would be in the snapshot, and would wake up after the resume
/// only to go.
fn start(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().name(String::from("freeze")).stack_size(STACK);
    if let Err(error) = thread.spawn(work) {
        tracing::warn!(%error, "no thread for the disk");
    }
}
