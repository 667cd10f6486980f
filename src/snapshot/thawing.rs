//! The way up: the guest is mended while programs stand still, and they go on last.
//!
//! Everything up to that point is system calls on the driver's own thread: after a resume the memory is cold, and
//! each thing that is touched costs a read from the snapshot.

use std::sync::Arc;
use std::time::Duration;

use super::SnapshotError;
use super::driver::{Driver, Ended};
use super::hooks::Context;
use super::notify::Resumed;
use super::options::Thaw;
use super::report::{Recorder, Report};
use super::resume::clock::{Source, Stamp};
use super::resume::{Manifest, Sign, entropy, identity, network};
use super::state::{Hold, Thawing};
use crate::base::{Phase, sentence};

/// A guest that has missed so much true time was stopped; clocks that tell less say so by themselves.
const SURELY_PAUSED: Duration = Duration::from_millis(100);
/// A wall clock that is off by this much was stopped: no guest drifts so far between two requests of its host.
const SURELY_STEPPED: Duration = Duration::from_millis(500);

/// For so long after a repair a clock that is off was set wrong, not stopped.
const CORRECTION: Duration = Duration::from_secs(10);

/// A thaw of `/` that takes longer waits behind a freeze that is still writing back, and is carried out all the same.
const THAW_ROOT: Duration = Duration::from_secs(5);

/// What mending found out.
#[derive(Clone, Copy, Debug)]
struct Mended {
    /// The machine was stopped, or is a copy.
    resumed: bool,
    paused: Duration,
    step_ns: i64,
    source: Source,
}

/// What is known of a pause before the clocks are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Nothing: the clocks decide.
    Nothing,
    /// There was one, or this is a copy.
    Paused,
    /// The machine goes on where it was stopped, with all its connections: time has passed, and nothing else.
    InPlace,
}

impl Default for Mended {
    fn default() -> Self {
        Self { resumed: false, paused: Duration::ZERO, step_ns: 0, source: Source::None }
    }
}

impl Driver {
    /// Thaws a freeze, or mends a guest that was paused without one.
    pub(super) async fn thaw(&mut self, options: &Thaw) -> Result<Ended, SnapshotError> {
        match self.machine.thaw(options.generation) {
            Thawing::Already if self.answered == options.generation => {}
            // It thawed by itself, so what this call brings has not been applied.
            Thawing::Already => self.repair(options, false).await?,
            Thawing::Stale { generation: current } => {
                return Err(SnapshotError::Stale { asked: options.generation.unwrap_or_default(), current });
            }
            Thawing::Repair => self.repair(options, false).await?,
            Thawing::Begin => {
                self.publish(|life| life.notices += 1);
                let mut recorder = Recorder::new(self.settings.crash.clone());
                match self.mend(options, Known::Nothing, &mut recorder) {
                    Ok(mended) => {
                        self.let_go(Mended { resumed: true, ..mended }, options, recorder).await?;
                        self.answered = options.generation;
                    }
                    Err(error) => {
                        // Nobody else may let it go without them either.
                        self.demand = true;
                        self.machine.keep();
                        self.publish(|_| {});
                        return Err(error);
                    }
                }
            }
        }
        let report = self.shown.lock().last_thaw.clone().unwrap_or_else(|| Arc::new(Report::default()));
        Ok(Ended { generation: self.machine.generation(), report })
    }

    /// Lets the workload go for a host with envd's protocol that has not resumed the guest: it gave up a pause, or made
    /// a checkpoint and let the same machine go on. Clients are there still, unless something tells of a new life.
    pub(super) async fn unfreeze(&mut self) -> Result<(), SnapshotError> {
        let sign = self.signs.look();
        self.reborn |= sign.is_some_and(Sign::is_new_life);
        let known = if self.reborn {
            Known::Paused
        } else if self.machine.hold() == Some(Hold::Workload) {
            Known::InPlace
        } else {
            sign.map_or(Known::Nothing, |_| Known::Paused)
        };
        self.thaw_workload(known, sign.is_some(), None, std::future::ready(())).await
    }

    /// Takes in what a host with envd's protocol brings after a start or a resume, and lets the workload go last.
    pub(super) async fn welcome(
        &mut self,
        host: Option<Stamp>,
        apply: impl Future<Output = ()>,
    ) -> Result<(), SnapshotError> {
        let noticed = self.noticed.is_some() || self.signs.look().is_some();
        let known = if noticed { Known::Paused } else { Known::Nothing };
        self.thaw_workload(known, noticed, host, apply).await
    }

    async fn thaw_workload(
        &mut self,
        known: Known,
        noticed: bool,
        host: Option<Stamp>,
        apply: impl Future<Output = ()>,
    ) -> Result<(), SnapshotError> {
        let frozen = self.machine.phase() == Phase::Frozen || self.root.is_frozen();
        if noticed && self.manifest.is_none() {
            self.manifest = Manifest::take(&self.around.ports).ok();
        }
        let mut recorder = Recorder::new(self.settings.crash.clone());
        let options = Thaw { host, ..Thaw::default() };
        // A start is no resume: the clock then follows the host's rule, and nothing needs mending.
        let mended = if frozen || noticed {
            self.machine.unwind();
            self.publish(|life| life.notices += 1);
            self.mend(&options, known, &mut recorder).unwrap_or_default()
        } else {
            Mended::default()
        };
        apply.await;
        if frozen || noticed || self.freezer.in_effect() {
            return self.let_go(mended, &options, recorder).await;
        }
        if host.is_some() && self.settings.notice {
            // The time of the host is better than that of the boot.
            self.calibrate();
        }
        // Both are written always: somebody else may have frozen them.
        self.freezer_thawed()
    }

    /// Mends a guest that runs; `sure` says that it was paused.
    pub(super) async fn repair(&mut self, options: &Thaw, sure: bool) -> Result<(), SnapshotError> {
        let mut recorder = Recorder::new(self.settings.crash.clone());
        if sure && options.end_sockets && self.manifest.is_none() {
            self.manifest = Manifest::take(&self.around.ports).ok();
        }
        let known = if sure { Known::Paused } else { Known::Nothing };
        let mended = self.mend(options, known, &mut recorder)?;
        self.hooked |= mended.resumed;
        self.let_go(mended, options, recorder).await
    }

    /// What cannot wait for the host to call.
    pub(super) fn first_aid(&mut self) {
        if let Err(error) = entropy::reseed(&[]) {
            tracing::warn!(%error, "cannot renew the random numbers");
        }
        match self.clocks.step(None) {
            Ok(step) => self.aided_ns += step.by_ns,
            Err(error) => tracing::warn!(%error, "cannot set the clock"),
        }
    }

    /// Undoes a freeze: programs go on with the same life, unless the machine was stopped meanwhile.
    pub(super) async fn unwind(&mut self) {
        self.machine.unwind();
        self.publish(|_| {});
        let mut recorder = Recorder::new(self.settings.crash.clone());
        let options = Thaw::default();
        // Whoever undoes it may not know that the machine was stopped.
        let mended = if self.noticed.is_some() || self.signs.look().is_some() {
            self.mend(&options, Known::Paused, &mut recorder).unwrap_or_default()
        } else {
            self.thaw_disks(&mut recorder.report);
            self.notifier.cancelled(self.machine.generation());
            Mended::default()
        };
        if let Err(error) = self.let_go(mended, &options, recorder).await {
            tracing::error!(error = sentence(&error), "the freeze is not wholly undone");
        }
    }

    /// Thaws the filesystem of `/`, whoever froze it.
    pub(super) async fn thaw_root(&mut self) -> Result<(), SnapshotError> {
        let root = self.root.clone();
        // Behind a freeze that is on its way this waits in the kernel, so not on our own thread.
        let work = tokio::task::spawn_blocking(move || root.thaw_root());
        let thawed = tokio::time::timeout(THAW_ROOT, work).await;
        self.let_guard_go();
        match thawed {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(std::io::Error::other(error)),
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        }
        .map_err(|source| SnapshotError::Machine { verb: "thaw /", source })
    }

    /// Mends everything but the workload: only system calls.
    fn mend(&mut self, options: &Thaw, known: Known, recorder: &mut Recorder) -> Result<Mended, SnapshotError> {
        let reseed = if self.noticed.is_some() { entropy::reseed_again } else { entropy::reseed };
        let fresh = recorder.step("entropy", |_| reseed(&options.entropy));
        match fresh {
            Ok(source) => recorder.report.entropy = Some(source.name()),
            Err(error) => {
                recorder.failed(error.to_string());
                recorder.report.entropy = Some(entropy::Source::None.name());
            }
        }
        if options.require_entropy && recorder.report.entropy == Some(entropy::Source::None.name()) {
            return Err(SnapshotError::NoEntropy);
        }
        let mut mended = self.mend_clock(options, recorder);
        mended.resumed |= self.noticed.is_some() || options.identity.clone;
        mended.resumed = known == Known::Paused || (mended.resumed && known == Known::Nothing);
        recorder.step("thaw filesystems", |report| self.thaw_disks(report));
        if mended.resumed || !options.network.interfaces.is_empty() || !options.network.dns.is_empty() {
            recorder.step("network", |report| {
                let changed = network::apply(&options.network);
                report.degradations.extend(changed.faults.iter().map(|fault| sentence(fault)));
            });
        }
        let manifest = self.manifest.take().filter(|_| mended.resumed && options.end_sockets);
        if let Some(manifest) = manifest {
            recorder.step("end connections", |report| {
                let ended = manifest.end();
                report.sockets_ended = usize::try_from(ended.ended).unwrap_or_default();
                report.degradations.extend(ended.error.map(|error| format!("end connections: {error}")));
            });
        }
        recorder.step("identity", |report| self.mend_identity(options, report));
        Ok(mended)
    }

    fn mend_clock(&mut self, options: &Thaw, recorder: &mut Recorder) -> Mended {
        let mut mended = Mended::default();
        let paused = self.clocks.paused();
        match recorder.step("clock", |_| self.clocks.step(options.host)) {
            Ok(step) => {
                mended.step_ns = step.by_ns + std::mem::take(&mut self.aided_ns);
                mended.source = step.source;
                recorder.report.clock_step_ns = mended.step_ns;
            }
            Err(error) => recorder.failed(error.to_string()),
        }
        let stepped = Duration::from_nanos(u64::try_from(mended.step_ns).unwrap_or_default());
        mended.paused = paused.unwrap_or_default().max(stepped);
        // A host that sends its time once more sets the clock right; that is no further pause.
        let corrected =
            self.machine.phase() == Phase::Running && self.mended.is_some_and(|mended| mended.elapsed() < CORRECTION);
        let shown = paused.is_some_and(|paused| paused >= SURELY_PAUSED) || stepped >= SURELY_STEPPED;
        mended.resumed = shown && !corrected;
        mended
    }

    fn mend_identity(&self, options: &Thaw, report: &mut Report) {
        let wanted = &options.identity;
        if wanted.clone || wanted.hostname.is_some() || wanted.machine_id.is_some() {
            let renewed = identity::renew(wanted, self.settings.run());
            report.degradations.extend(renewed.faults.iter().map(|fault| sentence(fault)));
        }
        if let Some(token) = &options.token {
            self.around.gate.set(Some(token.clone()));
        }
    }

    fn thaw_disks(&self, report: &mut Report) {
        for (mount, error) in self.disk.thaw().into_iter().chain(self.root.thaw()) {
            tracing::error!(mount = %mount.path.display(), %error, "cannot thaw a filesystem");
            report.degradations.push(format!("thaw {}: {error}", mount.path.display()));
        }
    }

    /// Lets the workload go, and tells everybody.
    async fn let_go(&mut self, mended: Mended, options: &Thaw, mut recorder: Recorder) -> Result<(), SnapshotError> {
        let resumed = self.resumed(mended, options);
        if mended.resumed
            && let Err(error) = recorder.step("generation", |_| self.write_generation(&resumed))
        {
            recorder.failed(error.to_string());
        }
        let context = Context {
            generation: resumed.generation,
            paused: mended.paused,
            clone: options.identity.clone,
            stop_at_failure: false,
        };
        let hooked = std::mem::take(&mut self.hooked);
        if hooked {
            recorder.report.hooks = recorder.wait("thaw hooks", self.hooks.thaw_before(options.hooks, &context)).await;
        }
        let parted = self.machine.hold() == Some(Hold::Whole);
        let freed = recorder.step("thaw programs", |_| self.freezer_thawed());
        self.machine.run(mended.resumed);
        self.manifest = None;
        self.noticed = None;
        self.reborn = false;
        if mended.resumed {
            self.mended = Some(tokio::time::Instant::now());
        }
        self.signs.settle(mended.resumed);
        self.publish(|life| {
            life.step = Duration::from_nanos(u64::try_from(mended.step_ns).unwrap_or_default());
            // Only a whole freeze has parted the clients of the life that ended.
            life.partings += u64::from(mended.resumed && !parted);
        });
        self.demand = false;
        self.let_guard_go();
        if freed.is_err() {
            self.arm(super::options::LEASE);
        }
        if mended.resumed {
            self.notifier.thawed(&resumed);
        }
        self.afterwards(mended, options, context, hooked);
        let mut facts = self.shown.lock();
        facts.paused = resumed.paused_total;
        facts.last_thaw = Some(Arc::new(recorder.finish()));
        freed
    }

    fn write_generation(&mut self, resumed: &Resumed) -> std::io::Result<()> {
        if let Some(page) = &mut self.page {
            page.bump()?;
        }
        self.notifier.write_generation(resumed)
    }

    /// What can wait until programs run. Apart, so that what it starts takes no stack of the thaw: each page of that is
    /// read from the snapshot.
    #[inline(never)]
    fn afterwards(&self, mended: Mended, options: &Thaw, context: Context, hooked: bool) {
        if mended.source == Source::Host {
            self.calibrate();
        }
        if mended.source == Source::Rtc {
            let clocks = Arc::clone(&self.clocks);
            self.tasks.spawn(async move {
                match clocks.refine().await {
                    Ok(step) => tracing::debug!(by_ns = step.by_ns, "the clock was set to the edge of a second"),
                    Err(error) => tracing::warn!(%error, "cannot refine the clock"),
                }
            });
        }
        if hooked {
            let (hooks, budget) = (Arc::clone(&self.hooks), options.hooks);
            self.tasks.spawn(async move {
                for outcome in hooks.thaw_after(budget, &context).await {
                    if let Some(error) = &outcome.error {
                        tracing::warn!(hook = outcome.name, error = sentence(error), "a thaw hook failed");
                    }
                }
            });
        }
    }

    fn resumed(&self, mended: Mended, options: &Thaw) -> Resumed {
        let now = crate::sys::clock::realtime().unwrap_or_default();
        Resumed {
            generation: self.machine.generation() + u64::from(mended.resumed),
            paused: mended.paused,
            paused_total: self.shown.lock().paused + mended.paused,
            clone: options.identity.clone,
            clock_step_ns: mended.step_ns,
            resumed_at_unix_ns: i64::try_from(now.as_nanos()).unwrap_or_default(),
        }
    }

    fn freezer_thawed(&mut self) -> Result<(), SnapshotError> {
        let outcome = self.freezer.thaw();
        if outcome.clean() { Ok(()) } else { Err(SnapshotError::Stuck(outcome.failed)) }
    }

    /// Ends what watches over a freeze, once nothing is frozen.
    pub(super) fn let_guard_go(&mut self) {
        if self.freezer.in_effect() || self.disk.is_frozen() || self.root.is_frozen() {
            return;
        }
        self.guard.stop();
        self.disk.close();
        self.root.close();
        self.ledger.clear();
        self.lease = None;
    }
}
