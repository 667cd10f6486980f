//! The rules: what facts and a policy make together. No clock, no lock, no machine.
//!
//! Three kinds of facts keep a guest from being idle:
//!
//! * something *happened* within the window: active, until the window has passed;
//! * something *holds* it (a hold, an upload, processor time): active;
//! * something is *open* that may go on at any moment (a stream, a program, a terminal, a connection): quiet.

use std::time::Duration;

use super::facts::{Cores, Facts};
use super::policy::{Ignored, Policy};
use super::pulse::Happening;

#[cfg(test)]
mod tests;

/// Says how much a guest is in use; the order is that of stillness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Something happens.
    Active,
    /// Nothing happens, but something is open.
    Quiet,
    /// Neither.
    Idle,
}

/// Says why a guest is not idle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Names the kind; where it can be ignored, by the word for that.
    pub signal: &'static str,
    /// A sentence for people.
    pub text: String,
}

/// Says when a verdict could be another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Again {
    /// It is reached.
    Now,
    /// Not before so much running time has passed, whatever ends meanwhile.
    After(Duration),
    /// When something ends, of which will be told; of holds that run out nobody tells, so not later than this.
    Ended(Duration),
}

/// Holds a verdict and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// How much the guest is in use.
    pub verdict: Verdict,
    /// Running time since the last thing that counts; 0 while something holds the guest.
    pub idle_for: Duration,
    /// Why it is not idle; empty when it is.
    pub why: Vec<Reason>,
    quiet: Again,
    idle: Again,
}

impl Judgement {
    /// Says when to look again for somebody who waits for a verdict.
    #[must_use]
    pub fn again(&self, until: Verdict) -> Again {
        match until {
            Verdict::Active => Again::Now,
            Verdict::Quiet => self.quiet,
            Verdict::Idle => self.idle,
        }
    }
}

/// Judges.
#[must_use]
pub fn judge(facts: &Facts, policy: &Policy) -> Judgement {
    let mut court = Court { window: policy.idle_for, idle_for: Duration::MAX, active: Side::new(), open: Side::new() };
    court.happenings(facts, &policy.ignored);
    court.holding(facts, policy);
    court.open(facts, &policy.ignored);
    court.verdict()
}

/// Collects what speaks against idleness.
struct Court {
    window: Duration,
    idle_for: Duration,
    active: Side,
    open: Side,
}

/// Collects one kind of reasons.
struct Side {
    why: Vec<Reason>,
    again: Again,
}

impl Side {
    fn new() -> Self {
        Self { why: Vec::new(), again: Again::Now }
    }

    fn add(&mut self, signal: &'static str, text: String, again: Again) {
        self.why.push(Reason { signal, text });
        self.again = self.again.max(again);
    }
}

impl Court {
    fn happenings(&mut self, facts: &Facts, ignored: &Ignored) {
        for happening in Happening::ALL.into_iter().filter(|&happening| counts(happening, ignored)) {
            if let Some(age) = facts.age(happening) {
                let (signal, text) = words(happening);
                self.happened(age, signal, text);
            }
        }
        self.happened(facts.since, "resume", "the guest began to run");
    }

    fn happened(&mut self, age: Duration, signal: &'static str, what: &str) {
        self.idle_for = self.idle_for.min(age);
        if let Some(left) = self.window.checked_sub(age).filter(|left| !left.is_zero()) {
            self.active.add(signal, format!("{what} {:.1} s ago", age.as_secs_f64()), Again::After(left));
        }
    }

    fn holding(&mut self, facts: &Facts, policy: &Policy) {
        let longest = facts.holds.iter().map(|hold| hold.left).max().unwrap_or_default();
        for hold in &facts.holds {
            let text = format!("held for {:.0} s more: {}", hold.left.as_secs_f64(), hold.reason);
            self.holds("hold", text, Again::Ended(longest));
        }
        if facts.uploads > 0 {
            self.holds("uploads", counted(facts.uploads, "upload", "under way"), Again::Ended(Duration::MAX));
        }
        match (policy.cpu_below, facts.seen.cores) {
            (Some(below), Cores::Used(cores)) if cores >= below => {
                let text = format!("programs use {cores:.3} cores, not less than {below}");
                self.holds("cpu", text, Again::After(self.window));
            }
            (Some(_), Cores::NotKnown) => {
                let text = "processor time has not been measured for long enough".to_owned();
                self.holds("cpu", text, Again::After(self.window));
            }
            _ => {}
        }
    }

    fn holds(&mut self, signal: &'static str, text: String, again: Again) {
        self.idle_for = Duration::ZERO;
        self.active.add(signal, text, again);
    }

    fn open(&mut self, facts: &Facts, ignored: &Ignored) {
        // The ends of these are told; connections come and go in silence, and are looked at again.
        let told = Again::Ended(Duration::MAX);
        let looked = Again::After(self.window);
        let programs = facts.programs;
        for (count, ignored, signal, noun, state, again) in [
            (facts.streams, ignored.streams, "streams", "request", "being answered", told),
            (programs.foreground, ignored.foreground, "foreground", "program", "followed by a client", told),
            (programs.background, ignored.background, "background", "program", "in the background", told),
            (programs.ptys, ignored.ptys, "ptys", "terminal", "open", told),
            (
                facts.seen.inbound,
                ignored.inbound || ignored.connections,
                "connections",
                "inbound connection",
                "open",
                looked,
            ),
            (
                facts.seen.outbound,
                ignored.outbound || ignored.connections,
                "connections",
                "outbound connection",
                "open",
                looked,
            ),
        ] {
            if count > 0 && !ignored {
                self.open.add(signal, counted(count, noun, state), again);
            }
        }
    }

    fn verdict(self) -> Judgement {
        let Self { active, open, idle_for, .. } = self;
        let verdict = match (active.why.is_empty(), open.why.is_empty()) {
            (false, _) => Verdict::Active,
            (true, false) => Verdict::Quiet,
            (true, true) => Verdict::Idle,
        };
        let why = active.why.into_iter().chain(open.why).collect();
        Judgement { verdict, idle_for, why, quiet: active.again, idle: active.again.max(open.again) }
    }
}

fn counts(happening: Happening, ignored: &Ignored) -> bool {
    match happening {
        Happening::Output => !ignored.output,
        Happening::BackgroundOutput => !ignored.output && !ignored.background,
        Happening::Inbound => !ignored.inbound,
        Happening::Outbound => !ignored.outbound,
        Happening::Rpc | Happening::Stdin | Happening::FileWrite | Happening::TtyKey | Happening::Touch => true,
    }
}

/// Names a happening: for programs and for people.
fn words(happening: Happening) -> (&'static str, &'static str) {
    match happening {
        Happening::Rpc => ("rpc", "a request was answered"),
        Happening::Stdin => ("stdin", "a program was fed"),
        Happening::Output => ("output", "a program wrote"),
        Happening::BackgroundOutput => ("background", "a program in the background wrote"),
        Happening::FileWrite => ("file_write", "a file was written"),
        Happening::Inbound => ("inbound", "a server of the guest was used"),
        Happening::Outbound => ("outbound", "data went to or came from outside"),
        Happening::TtyKey => ("tty_key", "a key was sent"),
        Happening::Touch => ("touch", "the guest was touched"),
    }
}

fn counted(count: usize, noun: &str, state: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural} {state}")
}
