//! What is known about the guest at one moment.

use std::time::Duration;

use super::holds::Hold;
use super::judge::Judgement;
use super::load::Load;
use super::ports::Ports;
use super::pulse::Happening;

/// Holds everything that a verdict rests on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// How long ago each [`Happening`] was, by its number; `None` for never.
    pub ages: [Option<Duration>; Happening::ALL.len()],
    /// How long programs have run without a pause, as far as this agent has seen it.
    pub since: Duration,
    /// Requests that are being answered, uploads not among them.
    pub streams: usize,
    /// Uploads under way.
    pub uploads: usize,
    /// Programs that run.
    pub programs: Programs,
    /// Who keeps the guest awake.
    pub holds: Vec<Hold>,
    /// What a look showed.
    pub seen: Seen,
}

/// Counts the programs that run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Programs {
    /// On a terminal.
    pub ptys: usize,
    /// Others that a client follows.
    pub foreground: usize,
    /// Others that nobody follows, and what those left behind that have ended.
    pub background: usize,
}

/// Holds what leaves no stamp; nothing of it when nobody looked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// Connections from outside to servers of the guest.
    pub inbound: usize,
    /// Connections of the guest to servers outside.
    pub outbound: usize,
    /// Cores in use over the window.
    pub cores: Cores,
}

/// Says how many cores programs used over the window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Cores {
    /// Nobody asked.
    #[default]
    NotAsked,
    /// There is no measurement that is old enough.
    NotKnown,
    /// On average.
    Used(f64),
}

/// Tells everything about one moment.
#[derive(Clone, Debug)]
pub struct State {
    /// Which life of the guest this is.
    pub generation: u64,
    /// The wall clock, since the epoch.
    pub now: Duration,
    /// How long programs had to run since the machine's start.
    pub ran: Duration,
    /// Wall time in pauses, as far as it was noticed.
    pub paused: Duration,
    /// What the verdict rests on.
    pub facts: Facts,
    /// Servers of the guest and their traffic.
    pub ports: Ports,
    /// Processor time.
    pub load: Load,
    /// The verdict.
    pub judgement: Judgement,
}

impl Facts {
    /// Tells how long ago something was.
    #[must_use]
    pub fn age(&self, happening: Happening) -> Option<Duration> {
        self.ages[happening as usize]
    }
}
