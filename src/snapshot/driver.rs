//! The one task that freezes and thaws, one thing after another.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::disk::Disk;
use super::guard::Guarded;
use super::hooks::Hooks;
use super::ledger::Ledger;
use super::lifecycle::{Command, Facts, Lifecycle, QUEUE, Shown};
use super::notify::Notifier;
use super::options::{LEASE, Settings, Thaw};
use super::report::Report;
use super::resume::vmclock_page::Page;
use super::resume::{Clocks, Manifest, Sign, Signs};
use super::state::Machine;
use crate::activity::Holds;
use crate::base::{Life, Lives, Phase, Tasks};
use crate::identity::Gate;
use crate::workload::{Freezer, Record, Workload};

/// File with the layout of the kernel's vmclock device, beside the generation file.
const PAGE: &str = "vmclock0";
/// While frozen, how often to look whether the machine was stopped meanwhile, where nothing tells.
const GLANCE: Duration = Duration::from_secs(1);

/// News of the network that come so soon after a repair tell of the same resume: a card announces itself several times.
const ECHO: Duration = Duration::from_millis(500);

/// Closes the connections of clients, and says how many did not close within the time given.
pub type Part = Box<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = usize> + Send>> + Send + Sync>;

/// What the driver needs of others.
pub struct Surroundings {
    /// Where programs are.
    pub workload: Arc<Workload>,
    /// The access token, which a thaw may replace.
    pub gate: Arc<Gate>,
    /// Closes the connections of clients.
    pub part: Part,
    /// Ports of the agent, whose connections it ends by itself.
    pub ports: Vec<u16>,
    /// What programs hold the guest awake by.
    pub holds: Holds,
    /// Servers on loopback addresses are reached from outside.
    pub loopback_ports: bool,
    /// Publishes the life of the guest.
    pub life: watch::Sender<Life>,
}

/// Tells of a freeze or thaw that was carried out.
#[derive(Clone)]
pub struct Ended {
    /// The life that ended with a freeze, or that began with a thaw.
    pub generation: u64,
    /// What was done.
    pub report: Arc<Report>,
}

/// Owns everything that can be frozen.
pub(super) struct Driver {
    pub(super) settings: Settings,
    pub(super) around: Surroundings,
    pub(super) machine: Machine,
    pub(super) freezer: Freezer,
    /// All block filesystems, for whole freezes.
    pub(super) disk: Disk,
    /// `/` alone, for hosts with envd's protocol.
    pub(super) root: Disk,
    pub(super) clocks: Arc<Clocks>,
    pub(super) signs: Signs,
    pub(super) hooks: Arc<Hooks>,
    pub(super) notifier: Notifier,
    pub(super) ledger: Ledger,
    pub(super) guard: Guarded,
    /// Hooks were told of a freeze, and must be told of its end.
    pub(super) hooked: bool,
    /// Connections that were open when the workload stopped.
    pub(super) manifest: Option<Manifest>,
    pub(super) tasks: Tasks,
    pub(super) shown: Arc<Shown>,
    /// When a freeze ends by itself.
    pub(super) lease: Option<Instant>,
    /// When the guest was last mended.
    pub(super) mended: Option<Instant>,
    /// What programs can map to see that they were copied; `None` where it could not be made.
    pub(super) page: Option<Page>,
    /// The guest was paused while frozen: when it thaws if nobody calls.
    pub(super) noticed: Option<Instant>,
    /// What was noticed was a new life, and not only that time has passed.
    pub(super) reborn: bool,
    /// How far the clock was stepped before anybody called, in nanoseconds.
    pub(super) aided_ns: i64,
    /// The freeze that the last call thawed, by the number it gave.
    pub(super) answered: Option<u64>,
    /// A thaw was refused for want of random bytes.
    pub(super) demand: bool,
}

/// Starts the driver and gives the handle. Needs a running runtime.
///
/// What a predecessor left frozen is let go first, before anything else of the agent starts.
#[must_use]
pub fn start(settings: Settings, around: Surroundings, tasks: &Tasks) -> Lifecycle {
    let clocks = Arc::new(Clocks::open());
    let signs = Signs::open(Arc::clone(&clocks));
    let lives = Lives::new(around.life.subscribe());
    let notifier = Notifier::start(settings.notify.clone(), around.holds.clone(), lives, tasks);
    let last = notifier.last().unwrap_or_default();
    if let Err(error) = notifier.write_generation(&last) {
        tracing::warn!(%error, "cannot write the generation file");
    }
    let page = Page::open(&settings.run().join(PAGE));
    let page = page.inspect_err(|error| tracing::debug!(%error, "no page that tells of copies")).ok();
    let hooks = Arc::new(Hooks::new(settings.hooks.clone(), Arc::clone(&around.workload), tasks.clone()));
    let ledger = Ledger::new(settings.run());
    let mut freezer = around.workload.freezer();
    let clean = recover(&ledger, &mut freezer);
    let (commands, received) = mpsc::channel(QUEUE);
    let (cancels, cancelled) = mpsc::channel(QUEUE);
    let shown = Arc::new(Shown::default());
    *shown.lock() =
        Facts { capabilities: capabilities(&signs, &around), paused: last.paused_total, ..Facts::default() };
    let life = around.life.subscribe();
    let mut driver = Driver {
        settings,
        around,
        machine: Machine::of(last.generation),
        freezer,
        disk: Disk::default(),
        root: Disk::default(),
        clocks,
        signs,
        hooks,
        notifier,
        ledger,
        guard: Guarded::default(),
        hooked: false,
        manifest: None,
        tasks: tasks.clone(),
        shown: Arc::clone(&shown),
        lease: None,
        mended: None,
        page,
        noticed: None,
        reborn: false,
        aided_ns: 0,
        answered: None,
        demand: false,
    };
    let clocks = Arc::clone(&driver.clocks);
    if !clean {
        driver.arm(LEASE);
    }
    if driver.settings.notice {
        driver.calibrate();
    }
    driver.publish(|_| {});
    tasks.spawn(driver.run(received, cancelled));
    Lifecycle { commands, cancels, shown, life, clocks }
}

/// Lets go what an agent that died left frozen.
///
/// Says whether nothing is left to be done.
fn recover(ledger: &Ledger, freezer: &mut Freezer) -> bool {
    let Some(left) = ledger.left() else { return true };
    if left.is_of_another() {
        return true;
    }
    tracing::warn!(filesystems = left.filesystems.len(), "the agent died while things were frozen: they are let go");
    let failed = Disk::thaw_left(&left.filesystems);
    for (mount, error) in &failed {
        tracing::error!(mount = %mount.path.display(), %error, "cannot thaw a filesystem");
    }
    freezer.adopt(Record::from_lines(&left.workload));
    let outcome = freezer.thaw();
    if !outcome.clean() {
        tracing::error!(failed = outcome.failed, "some cgroups could not be let go");
    }
    let clean = outcome.clean() && failed.is_empty();
    if clean {
        ledger.clear();
    }
    clean
}

fn capabilities(signs: &Signs, around: &Surroundings) -> Vec<(&'static str, bool)> {
    let mut capabilities = signs.capabilities();
    capabilities.push(("cgroup_freeze", around.workload.has_cgroups()));
    capabilities.push(("fs_freeze", crate::sys::creds::is_admin()));
    capabilities.push(("loopback_ports", around.loopback_ports));
    capabilities
}

impl Driver {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut cancels: mpsc::Receiver<oneshot::Sender<bool>>) {
        loop {
            let due = self.due();
            tokio::select! {
                biased;
                Some(reply) = cancels.recv() => {
                    let undone = self.machine.phase() == Phase::Frozen;
                    if undone {
                        self.unwind().await;
                    }
                    let _ = reply.send(undone);
                }
                command = commands.recv() => match command {
                    Some(command) => self.obey(command, &mut cancels).await,
                    None => return,
                },
                sign = self.signs.next(), if self.settings.notice => self.notice(sign).await,
                () = sleep_until(due) => self.wake().await,
            }
        }
    }

    async fn obey(&mut self, command: Command, cancels: &mut mpsc::Receiver<oneshot::Sender<bool>>) {
        match command {
            Command::Freeze(options, mut reply) => {
                if reply.is_closed() {
                    return;
                }
                let before = self.machine.phase();
                let result = self.freeze(&options, cancels, &mut reply).await;
                if let Err(Ok(_)) = reply.send(result)
                    && before != Phase::Frozen
                {
                    // Nobody has learned that the guest is frozen, so nobody will thaw it.
                    self.unwind().await;
                }
            }
            Command::Thaw(options, reply) => {
                let result = self.thaw(&options).await;
                let _ = reply.send(result);
            }
            Command::FreezeWorkload(mode, wait, mut reply) => {
                if reply.is_closed() {
                    return;
                }
                let counts = self.freeze_workload(mode, wait, &mut reply).await;
                if let Some(counts) = counts {
                    let _ = reply.send(counts);
                }
            }
            Command::ThawWorkload(reply) => {
                let _ = reply.send(self.unfreeze().await);
            }
            Command::FreezeRoot(mut reply) => {
                let result = self.freeze_root(&mut reply).await;
                let _ = reply.send(result);
            }
            Command::ThawRoot(reply) => {
                let _ = reply.send(self.thaw_root().await);
            }
            Command::Welcome(host, apply, reply) => {
                let audit = self.freezer.audit();
                if let Err(error) = self.welcome(host, apply).await {
                    tracing::error!(%error, "the workload could not be let go");
                }
                let _ = reply.send(audit);
            }
        }
    }

    /// A sign of a resume, while nobody has called yet.
    async fn notice(&mut self, sign: Sign) {
        // A guest that is not frozen may have moved without standing still.
        let moved = sign == Sign::Announced && self.machine.phase() != Phase::Frozen;
        let echo = !sign.is_new_life() && self.mended.is_some_and(|mended| mended.elapsed() < ECHO);
        if moved || echo {
            return;
        }
        tracing::info!(?sign, phase = ?self.machine.phase(), "the guest was paused and resumed");
        match self.machine.phase() {
            Phase::Frozen => {
                // The host is expected to call; what cannot wait is done now, and the rest if it does not.
                let by = Instant::now() + self.settings.self_thaw;
                self.noticed.get_or_insert(by);
                self.reborn |= sign.is_new_life();
                self.first_aid();
                self.publish(|life| life.notices += 1);
            }
            _ => {
                if let Err(error) = self.repair(&Thaw::default(), true).await {
                    tracing::error!(%error, "the repair after a resume is not whole");
                }
            }
        }
    }

    /// When to wake up without being asked.
    fn due(&self) -> Option<Instant> {
        let frozen = self.freezer.in_effect() || self.disk.is_frozen() || self.root.is_frozen();
        if self.machine.phase() != Phase::Frozen && !frozen {
            return None;
        }
        let glances = self.settings.notice && !self.signs.tell();
        let glance = glances.then(|| Instant::now() + GLANCE);
        [self.lease, self.noticed, glance].into_iter().flatten().min()
    }

    async fn wake(&mut self) {
        let now = Instant::now();
        if self.noticed.is_some_and(|due| due <= now) {
            tracing::warn!("nobody called after the resume: the guest thaws by itself");
            let options = Thaw { require_entropy: self.demand, ..Thaw::default() };
            if let Err(error) = self.thaw(&options).await {
                tracing::error!(%error, "the guest cannot thaw by itself");
                self.noticed = Some(now + self.settings.self_thaw);
            }
        } else if self.lease.is_some_and(|due| due <= now) && self.demand {
            self.arm(LEASE);
        } else if self.lease.is_some_and(|due| due <= now) {
            tracing::warn!("nobody ended the freeze in time: it is undone");
            self.unwind().await;
        } else if self.noticed.is_none()
            && let Some(sign) = self.signs.look()
        {
            self.notice(sign).await;
        }
    }

    /// Learns in the background how far off the guest's own clocks are, while the wall clock is surely right.
    pub(super) fn calibrate(&self) {
        let clocks = Arc::clone(&self.clocks);
        self.tasks.spawn(async move { clocks.calibrate().await });
    }

    /// Arms the watchdog.
    pub(super) fn arm(&mut self, lease: Duration) {
        self.lease = Some(Instant::now() + lease.min(LEASE * 24));
    }

    /// Publishes where the guest is.
    pub(super) fn publish(&self, change: impl FnOnce(&mut Life)) {
        self.around.life.send_modify(|life| {
            life.phase = self.machine.phase();
            life.generation = self.machine.generation();
            life.guarded = self.machine.is_guarded();
            change(life);
        });
    }
}

impl Drop for Driver {
    /// The agent ends: what it froze is let go, since nobody would know.
    fn drop(&mut self) {
        let frozen = self.freezer.in_effect() || self.disk.is_frozen() || self.root.is_frozen();
        if frozen {
            let _ = (self.disk.thaw(), self.root.thaw(), self.freezer.thaw());
        }
        self.let_guard_go();
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
