//! The true time, and stepping the wall clock to it.
//!
//! A guest that is stopped from outside is told nothing: after a pause of an hour its clocks go on where they stood.
//! The truth comes with the host's request, or from the hypervisor's clock (`/dev/ptp*` under KVM), or from the
//! real-time clock, which knows whole seconds only. The kernel slews by 500 ppm at most, so an hour would take it
//! three months: we step, while programs stand still.

use std::fs::File;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::sys::{clock, hosttime};

/// How far the wall clock may be off before an exact source steps it: programs see no less between two of their reads.
const EXACT: Duration = Duration::from_millis(1);
/// How far behind the real-time clock's second it may be: NTP may hold the two a second apart, rightly.
const COARSE: Duration = Duration::from_millis(1500);
/// A pause that is surely one, by the hypervisor's clock: a stalled processor loses less.
const PAUSE_EXACT: Duration = Duration::from_millis(50);
/// The same by the real-time clock: two reads of whole seconds are off by one, and one may be late.
const PAUSE_COARSE: Duration = Duration::from_secs(2);
/// Running time per unit of drift that is no pause: 200 ppm, the worst of what uncorrected counters do.
const DRIFT: u32 = 5000;
/// Running time between two looks for a pause at the real-time clock, which costs some fifty exits of the machine.
const LOOK: Duration = Duration::from_secs(1);
/// The same at the hypervisor's clock, which costs one.
const LOOK_EXACT: Duration = Duration::from_millis(10);
/// Age at which a bearing that showed no pause is renewed, so that drift does not add up. Younger ones stay, so that
/// short pauses do.
const BEARING: Duration = Duration::from_secs(60);
/// Grid and reach of time zones: a real-time clock that is off by a multiple of this keeps local time.
const ZONE: i64 = 15 * 60;
const ZONES: i64 = 14 * 3600;
/// Interval of reads while looking for the edge of a second, and thereby the error of what is found; a machine that
/// is busy or emulated makes it longer.
const EDGE: Duration = Duration::from_millis(10);
/// An edge comes within this time.
const EDGE_LIMIT: Duration = Duration::from_millis(1100);

/// Says who told the true time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The host, with its request.
    Host,
    /// The hypervisor's clock behind `/dev/ptp*`.
    Ptp,
    /// The real-time clock, in whole seconds.
    Rtc,
    /// Nobody: the clock was left alone.
    None,
}

impl Source {
    /// Gives the word that reports use: `host`, `ptp`, `rtc`, `none`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Ptp => "ptp",
            Self::Rtc => "rtc",
            Self::None => "none",
        }
    }
}

/// The host's time, as it came with a request.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Since the epoch, when the host sent it.
    pub sent: Duration,
    /// There and back; half of it is added.
    pub round_trip: Duration,
    /// When it came here; what has passed since is added.
    pub arrived: Instant,
}

/// The true time as a source tells it: it lies between `wall` and `wall + grain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Since the epoch.
    pub wall: Duration,
    /// How much later it may be.
    pub grain: Duration,
    /// Who told it.
    pub source: Source,
}

/// Says what became of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How far it was stepped, in nanoseconds; 0 when it was right, or nobody knew the time.
    pub by_ns: i64,
    /// Who told the time.
    pub source: Source,
}

/// Keeps the ways to learn the true time without the host's help.
#[derive(Debug)]
pub struct Clocks {
    ptp: Option<File>,
    rtc: Option<File>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bearing: Option<Bearing>,
    /// Running time of the last look for a pause.
    looked: Duration,
    /// What turns the real-time clock into the true time.
    offset: Offset,
}

/// How far the true time is ahead of a real-time clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Offset {
    /// Seconds, for a clock that keeps local time.
    zone: i64,
    /// Nanoseconds, for a clock whose seconds begin at other moments: that of QEMU is late by the fraction of a
    /// second at which the guest was booted, for ever and over every pause.
    phase: i64,
}

/// The true time at a moment of running time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bearing {
    sample: Sample,
    running: Duration,
}

impl Clocks {
    /// Finds the clocks that this guest has and takes a first bearing.
    #[must_use]
    pub fn open() -> Self {
        let clocks = Self { ptp: hosttime::open_ptp(), rtc: hosttime::open_rtc(), state: Mutex::default() };
        clocks.mark();
        clocks
    }

    /// Reads the best clock; `None` when there is none.
    #[must_use]
    pub fn sample(&self) -> Option<Sample> {
        self.read(self.state().offset)
    }

    /// Gives the true time minus the wall clock, in nanoseconds; 0 within the grain, `None` when nobody knows.
    #[must_use]
    pub fn gap(&self) -> Option<i64> {
        Some(self.sample()?.minus(clock::realtime().ok()?))
    }

    /// Takes a bearing: [`Clocks::paused`] counts from here. To be called while the wall clock is right, as before a
    /// freeze: from it we learn whether the real-time clock keeps local time.
    pub fn mark(&self) {
        let mut state = self.state();
        let utc = Offset { zone: 0, ..state.offset };
        if let (Some(sample), Ok(now)) = (self.read(utc), clock::realtime()) {
            state.offset.zone = if sample.source == Source::Rtc { zone(sample, now) } else { 0 };
        }
        state.bearing = self.bearing(state.offset);
    }

    /// Gives the true time that has passed since the last bearing without the guest running, and takes a new one, so
    /// that each pause is told once. `None` when nobody knows; zero within the grain.
    pub fn paused(&self) -> Option<Duration> {
        let mut state = self.state();
        let now = self.bearing(state.offset)?;
        let paused = state.bearing.replace(now)?.pause(now)?;
        Some(if paused < now.sample.grain { Duration::ZERO } else { paused })
    }

    /// As [`Clocks::paused`], for a guest that does not know whether it was stopped: tells only of a pause that is
    /// surely one.
    pub fn surely_paused(&self) -> Option<Duration> {
        let mut state = self.state();
        let now = self.bearing(state.offset)?;
        state.looked = now.running;
        let Some(last) = state.bearing else {
            state.bearing = Some(now);
            return None;
        };
        let noticed = last.sure_pause(now);
        if noticed.is_some() || now.running > last.running + BEARING {
            state.bearing = Some(now);
        }
        noticed
    }

    /// Says whether [`Clocks::surely_paused`] would tell of a pause, and leaves it to be told.
    pub fn shows_pause(&self) -> bool {
        let state = self.state();
        let now = self.bearing(state.offset);
        state.bearing.zip(now).is_some_and(|(last, now)| last.sure_pause(now).is_some())
    }

    /// As [`Clocks::surely_paused`], but asks the real-time clock once a second at most; in between it costs one read
    /// of a clock in shared memory.
    pub fn noticed_pause(&self) -> Option<Duration> {
        let rest = if self.ptp.is_some() { LOOK_EXACT } else { LOOK };
        let looked = self.state().looked;
        if clock::running().ok()? < looked + rest { None } else { self.surely_paused() }
    }

    /// Steps the wall clock to the true time: the host's if given, else that of the best clock.
    ///
    /// By an exact source whenever it is off by more than 1 ms, or by more than the stamp's own uncertainty. By the
    /// real-time clock only forward, and only when it is more than 1.5 s behind: a stopped guest is never ahead, and
    /// such a clock may never have been set. It then gets the beginning of the second, so that
    /// [`Clocks::refine`] need not step back under the eyes of programs.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_TIME.
    pub fn step(&self, host: Option<Stamp>) -> io::Result<Step> {
        let Some(sample) = host.map(Stamp::now).or_else(|| self.sample()) else {
            return Ok(Step { by_ns: 0, source: Source::None });
        };
        step_to(sample, if sample.source == Source::Rtc { COARSE } else { EXACT.max(sample.grain) })
    }

    /// Finds the edge of the real-time clock's second and steps forward to it; to be run once, in the background,
    /// after a [`Clocks::step`] whose source was [`Source::Rtc`]. Exact to 10 ms if the clock was
    /// [calibrated](Clocks::calibrate), else as late as that clock is. Takes up to 1.1 s. Cancel-safe.
    ///
    /// # Errors
    /// As [`Clocks::step`].
    pub async fn refine(&self) -> io::Result<Step> {
        match self.edge().await {
            Some(sample) => step_to(sample, 2 * EDGE),
            None => Ok(Step { by_ns: 0, source: Source::None }),
        }
    }

    /// Learns where the real-time clock's seconds begin, while the wall clock is right; to be run once in the
    /// background, at the start and after the host has told its time. Takes up to 1.1 s; does nothing where there is
    /// a better clock. Cancel-safe.
    pub async fn calibrate(&self) {
        let Some(edge) = self.edge().await else {
            return;
        };
        let Ok(now) = clock::realtime() else {
            return;
        };
        let late = if now < edge.wall { -nanoseconds(edge.wall - now) } else { nanoseconds(now - edge.wall) };
        let mut state = self.state();
        let phase = state.offset.phase.saturating_add(late);
        // More is no phase: one of the two clocks is wrong.
        if phase.unsigned_abs() <= u64::try_from(COARSE.as_nanos()).unwrap_or(u64::MAX) {
            state.offset.phase = phase;
            state.bearing = self.bearing(state.offset);
        }
    }

    /// Waits for the next second of the real-time clock and gives the true time by it, as it is now.
    async fn edge(&self) -> Option<Sample> {
        let first = self.sample().filter(|sample| sample.source == Source::Rtc)?;
        let began = Instant::now();
        let mut asked = began;
        while began.elapsed() < EDGE_LIMIT {
            tokio::time::sleep(EDGE).await;
            let before = std::mem::replace(&mut asked, Instant::now());
            match self.sample() {
                Some(next) if next.wall != first.wall => {
                    // It came since the last read, which a busy machine makes longer ago than was meant.
                    let within = before.elapsed();
                    return Some(Sample { wall: next.wall + within / 2, grain: within, ..next });
                }
                _ => {}
            }
        }
        None
    }

    /// Says whether there is a clock of the hypervisor.
    #[must_use]
    pub fn has_ptp(&self) -> bool {
        self.ptp.is_some()
    }

    /// Says whether there is a real-time clock.
    #[must_use]
    pub fn has_rtc(&self) -> bool {
        self.rtc.is_some()
    }

    fn read(&self, offset: Offset) -> Option<Sample> {
        if let Some(wall) = self.ptp.as_ref().and_then(|clock| hosttime::ptp(clock).ok()) {
            return Some(Sample { wall, grain: Duration::ZERO, source: Source::Ptp });
        }
        let wall = offset.apply(hosttime::rtc(self.rtc.as_ref()?).ok()?)?;
        Some(Sample { wall, grain: Duration::from_secs(1), source: Source::Rtc })
    }

    fn bearing(&self, offset: Offset) -> Option<Bearing> {
        Some(Bearing { sample: self.read(offset)?, running: clock::running().ok()? })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Offset {
    fn apply(self, seconds: Duration) -> Option<Duration> {
        let zoned = Duration::from_secs(seconds.as_secs().checked_add_signed(self.zone)?);
        let phase = Duration::from_nanos(self.phase.unsigned_abs());
        if self.phase < 0 { zoned.checked_sub(phase) } else { zoned.checked_add(phase) }
    }
}

impl Stamp {
    /// What the host's clock shows now, half the round trip more or less.
    fn now(self) -> Sample {
        let half = self.round_trip / 2;
        Sample { wall: self.sent + half + self.arrived.elapsed(), grain: half, source: Source::Host }
    }
}

impl Sample {
    /// Gives the distance of `now` from the true time, in nanoseconds: positive when it is behind, 0 within the grain.
    fn minus(self, now: Duration) -> i64 {
        if now < self.wall {
            nanoseconds(self.wall - now)
        } else {
            -nanoseconds(now.saturating_sub(self.wall + self.grain))
        }
    }

    /// Gives how far the wall clock is to be stepped; `None` when it may stay.
    fn correction(self, now: Duration, tolerance: Duration) -> Option<i64> {
        let off = self.minus(now);
        let beyond = off.unsigned_abs() > u64::try_from(tolerance.as_nanos()).unwrap_or(u64::MAX);
        match self.source {
            Source::Host | Source::Ptp => {
                let exact = if now < self.wall { off } else { -nanoseconds(now - self.wall) };
                beyond.then_some(exact)
            }
            Source::Rtc => (beyond && off > 0).then_some(off),
            Source::None => None,
        }
    }
}

impl Bearing {
    /// Gives the true time between two bearings in which the guest did not run; `None` when they are of two clocks.
    fn pause(self, now: Self) -> Option<Duration> {
        let passed = now.sample.wall.saturating_sub(self.sample.wall);
        (self.sample.source == now.sample.source)
            .then(|| passed.saturating_sub(now.running.saturating_sub(self.running)))
    }

    /// As [`Bearing::pause`], where it is no drift and no grain for sure.
    fn sure_pause(self, now: Self) -> Option<Duration> {
        self.pause(now).filter(|paused| is_sure(*paused, self, now))
    }
}

fn is_sure(paused: Duration, last: Bearing, now: Bearing) -> bool {
    let least = if now.sample.grain.is_zero() { PAUSE_EXACT } else { PAUSE_COARSE };
    paused >= least + now.running.saturating_sub(last.running) / DRIFT
}

/// Gives the seconds that the wall clock is ahead of a real-time clock that keeps local time; 0 for one that keeps
/// UTC or is off by anything else than a time zone.
fn zone(rtc: Sample, now: Duration) -> i64 {
    let ahead = now.as_secs().cast_signed() - rtc.wall.as_secs().cast_signed();
    let nearest = (ahead + ahead.signum() * ZONE / 2) / ZONE * ZONE;
    let tolerance = i64::try_from(COARSE.as_secs()).unwrap_or(1);
    if nearest.abs() <= ZONES && (ahead - nearest).abs() <= tolerance { nearest } else { 0 }
}

fn step_to(sample: Sample, tolerance: Duration) -> io::Result<Step> {
    let now = clock::realtime()?;
    let by_ns = sample.correction(now, tolerance).unwrap_or(0);
    if by_ns != 0 {
        let amount = Duration::from_nanos(by_ns.unsigned_abs());
        clock::set_realtime(if by_ns > 0 { now + amount } else { now.saturating_sub(amount) })?;
    }
    Ok(Step { by_ns, source: sample.source })
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// Says whether the kernel lets us set the wall clock.
#[must_use]
pub fn available() -> bool {
    clock::may_set()
}

#[cfg(test)]
mod tests;
