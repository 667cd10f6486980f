//! The handle that everybody else holds: tells, and waits.

use std::fmt;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::facts::{Cores, Facts, Programs, Seen, State};
use super::holds::Holds;
use super::judge::{Again, Verdict, judge};
use super::load::{Cpu, Meter, Sample};
use super::policy::{Policy, WINDOW};
use super::ports::Scan;
use super::pulse::{Happening, Pulse};
use crate::base::{Lives, Tasks};
use crate::sys::clock;

/// Readings of the exact clock and of the one for stamps differ by a tick of the kernel: after so much more a window
/// has surely passed, and one look does.
const TICK: Duration = Duration::from_millis(1);

/// Counts something that somebody else keeps.
pub type Ask<T> = Box<dyn Fn() -> T + Send + Sync>;

/// What the room needs of others.
pub struct Sources {
    /// Counts programs.
    pub programs: Ask<Programs>,
    /// Tells the wall time in pauses.
    pub paused: Ask<Duration>,
    /// Where the cgroups of programs are.
    pub cgroups: Option<PathBuf>,
    /// TCP ports of the agent.
    pub ports: Vec<u16>,
}

/// Tells how much the guest is in use; clones tell the same.
#[derive(Clone)]
pub struct Activity {
    inner: Arc<Inner>,
}

struct Inner {
    holds: Holds,
    sources: Sources,
    lives: Lives,
    cpu: Cpu,
    scan: Scan,
    /// Processor time over the last minute, as far as somebody asked.
    meter: Mutex<Meter>,
}

/// Says how a wait ended.
#[derive(Clone, Debug)]
pub struct Waited {
    /// The verdict was reached, and not only the time over.
    pub reached: bool,
    /// Where the guest is.
    pub state: State,
}

impl Activity {
    /// Begins to follow `lives`; that task wakes for freezes and thaws only. Needs a running runtime.
    #[must_use]
    pub fn start(holds: Holds, sources: Sources, lives: &Lives, tasks: &Tasks) -> Self {
        let (cpu, scan) = (Cpu::new(sources.cgroups.clone()), Scan::new(sources.ports.clone()));
        let mut meter = Meter::default();
        meter.push(cpu.sample(clock::monotonic()), WINDOW);
        scan.opens(0);
        let (follower, mut followed) = (holds.clone(), lives.clone());
        tasks.spawn(async move {
            let mut last = followed.now();
            loop {
                follower.follow(last);
                last = followed.until(|life| *life != last).await;
            }
        });
        let lives = lives.clone();
        Self { inner: Arc::new(Inner { holds, sources, lives, cpu, scan, meter: Mutex::new(meter) }) }
    }

    /// Gives the holds.
    #[must_use]
    pub fn holds(&self) -> &Holds {
        &self.inner.holds
    }

    /// Says that the guest is in use.
    pub fn touch(&self) {
        self.pulse().mark(Happening::Touch);
    }

    /// Looks, now: some forty system calls, which read files of the kernel and its list of connections.
    #[must_use]
    pub fn look(&self, policy: &Policy) -> State {
        self.look_with(policy, None)
    }

    /// Waits until the verdict is `until` or stiller, at most `timeout` of running time. Dropping it ends the waiting.
    ///
    /// A verdict that asks for processor time is not reached before that was measured over a window.
    pub async fn wait(&self, policy: &Policy, until: Verdict, timeout: Option<Duration>) -> Waited {
        let mut lives = self.inner.lives.clone();
        let over = async {
            match timeout {
                Some(timeout) => lives.sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            state = self.reached(policy, until) => Waited { reached: true, state },
            () = over => Waited { reached: false, state: self.look(policy) },
        }
    }

    async fn reached(&self, policy: &Policy, until: Verdict) -> State {
        let mut lives = self.inner.lives.clone();
        let mut meter = Meter::default();
        loop {
            // Before the look, so that nothing ends unnoticed between that and the sleep.
            let mut ended = pin!(self.pulse().until_ended());
            ended.as_mut().enable();
            let mut again = judge(&self.known(), policy).again(until);
            if again == Again::Now {
                let state = self.look_with(policy, Some(&mut meter));
                again = state.judgement.again(until);
                if again == Again::Now {
                    return state;
                }
            } else if policy.cpu_below.is_some() {
                meter.push(self.sample(), policy.idle_for);
            }
            match again {
                Again::Now => {}
                Again::After(time) => lives.sleep(time + TICK).await,
                Again::Ended(limit) => {
                    tokio::select! {
                        () = ended => {}
                        () = lives.sleep(limit.saturating_add(TICK)), if limit < Duration::MAX => {}
                    }
                }
            }
        }
    }

    /// Gathers what is known without asking the kernel.
    fn known(&self) -> Facts {
        let (pulse, holds) = (self.pulse(), &self.inner.holds);
        holds.follow(self.inner.lives.now());
        let held = holds.list();
        let now = clock::monotonic();
        let (uploads, streams) = pulse.open();
        Facts {
            ages: Happening::ALL.map(|happening| pulse.last(happening).map(|at| now.saturating_sub(at))),
            since: now.saturating_sub(holds.running().since()),
            streams,
            uploads,
            programs: (self.inner.sources.programs)(),
            holds: held,
            seen: Seen::default(),
        }
    }

    /// Looks; who waits brings measurements of its own, over its own window.
    fn look_with(&self, policy: &Policy, meter: Option<&mut Meter>) -> State {
        let Inner { scan, cpu, sources, lives, holds, .. } = &*self.inner;
        let (pulse, ports) = (self.pulse(), scan.look());
        for (happening, ago) in [(Happening::Inbound, ports.last_inbound), (Happening::Outbound, ports.last_outbound)] {
            if let Some(ago) = ago {
                pulse.mark_ago(happening, ago);
            }
        }
        if scan.opens(pulse.connections_accepted()) {
            pulse.mark(Happening::Inbound);
        }
        let sample = self.sample();
        let mut minute = self.inner.meter.lock().unwrap_or_else(PoisonError::into_inner);
        let load = cpu.load(minute.cores(sample, WINDOW));
        let cores = policy.cpu_below.map(|_| {
            let own = meter.as_ref().and_then(|meter| meter.cores_of_window(sample, policy.idle_for));
            own.or_else(|| minute.cores_of_window(sample, policy.idle_for))
        });
        minute.push(sample, WINDOW);
        drop(minute);
        if let Some(meter) = meter {
            meter.push(sample, policy.idle_for);
        }
        let mut facts = self.known();
        facts.seen = Seen {
            inbound: ports.inbound,
            outbound: ports.outbound,
            cores: match cores {
                None => Cores::NotAsked,
                Some(None) => Cores::NotKnown,
                Some(Some(cores)) => Cores::Used(cores),
            },
        };
        State {
            generation: lives.now().generation,
            now: clock::realtime().unwrap_or_default(),
            ran: holds.running().ran(clock::monotonic()),
            paused: (sources.paused)(),
            judgement: judge(&facts, policy),
            facts,
            ports,
            load,
        }
    }

    fn sample(&self) -> Sample {
        self.inner.cpu.sample(clock::monotonic())
    }

    fn pulse(&self) -> &Pulse {
        self.inner.holds.pulse()
    }
}

impl fmt::Debug for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Activity").field("holds", &self.inner.holds).finish_non_exhaustive()
    }
}
