//! The true time, and stepping the wall clock to it.

use std::io;
use std::time::{Duration, Instant};

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
pub struct Clocks {}

impl Clocks {
    /// Finds the clocks that this guest has and takes a first bearing.
    #[must_use]
    pub fn open() -> Self {
        Self {}
    }

    /// Reads the best clock; `None` when there is none.
    #[must_use]
    pub fn sample(&self) -> Option<Sample> {
        None
    }

    /// Gives the true time minus the wall clock, in nanoseconds; 0 within the grain, `None` when nobody knows.
    #[must_use]
    pub fn gap(&self) -> Option<i64> {
        None
    }

    /// Takes a bearing: [`Clocks::paused`] counts from here.
    pub fn mark(&self) {}

    /// Gives the true time that has passed since the last bearing without the guest running, and takes a new one.
    /// `None` when nobody knows; zero within the grain.
    pub fn paused(&self) -> Option<Duration> {
        None
    }

    /// As [`Clocks::paused`], for a guest that does not know whether it was stopped: tells only of a pause that is
    /// surely one, and looks at most once a second.
    pub fn noticed_pause(&self) -> Option<Duration> {
        None
    }

    /// Steps the wall clock to the true time: the host's if given, else that of the best clock.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_TIME.
    pub fn step(&self, host: Option<Stamp>) -> io::Result<Step> {
        let _ = host;
        Ok(Step { by_ns: 0, source: Source::None })
    }

    /// Finds the edge of the real-time clock's second and steps forward to it; to be run once, in the background,
    /// after a [`Clocks::step`] whose source was [`Source::Rtc`]. Takes up to 1.1 s. Cancel-safe.
    ///
    /// # Errors
    /// As [`Clocks::step`].
    pub async fn refine(&self) -> io::Result<Step> {
        Ok(Step { by_ns: 0, source: Source::None })
    }

    /// Says whether there is a clock of the hypervisor.
    #[must_use]
    pub fn has_ptp(&self) -> bool {
        false
    }

    /// Says whether there is a real-time clock.
    #[must_use]
    pub fn has_rtc(&self) -> bool {
        false
    }
}

/// Says whether the kernel lets us set the wall clock.
#[must_use]
pub fn available() -> bool {
    false
}
