//! The loop of the first process: keep the agent running, reap everybody, hear signals.
//!
//! One thread that sleeps in one `poll` without a timeout while the agent runs. The agent's own children are not
//! ours: `waitpid` sees only the agent and what lost its parent.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, WaitStatus, wait};

use super::backoff::Backoff;
use super::report::Report;
use super::shutdown::{self, Down};
use super::{control, shutdown::AGENT_WINDOW};

/// Signals that are heard; all others keep their meaning, which for process 1 is none.
const HEARD: [Signal; 8] = [
    Signal::SIGCHLD,
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGPWR,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];
/// Exit code of an agent that a signal ended is this and the signal's number, as shells have it.
const SIGNAL_BASE: i32 = 128;
/// Exit code of an agent that does not understand its flags (envd's); the next one would not either.
const WRONG_USAGE: i32 = 2;
/// Exit code of one that SIGTERM ended.
const ENDED_BY_TERM: u8 = 143;

/// Says whose process this is the first of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A machine's: a signal ends in power-off or restart, and the agent is restarted whatever its end.
    Machine,
    /// A container's: it ends with the agent's exit.
    Container,
    /// Nobody's: another init is above, which sees only us. The agent is restarted unless it ended well.
    Child,
}

/// Says what the loop has to do.
enum Next {
    /// Goes on.
    Stay,
    /// Ends with this code.
    Exit(u8),
    /// Takes the machine down.
    Down(Down),
}

/// Keeps one agent.
pub(super) struct Supervisor {
    line: Vec<OsString>,
    place: Place,
    report: Report,
    backoff: Backoff,
    agent: Option<Agent>,
    /// When to start the next agent; only while there is none.
    due: Option<Instant>,
    stopping: bool,
}

struct Agent {
    pid: Pid,
    since: Instant,
}

impl Supervisor {
    /// Makes a supervisor for an agent with this command line, program name first.
    pub(super) fn new(line: Vec<OsString>, place: Place) -> Self {
        let report = if place == Place::Machine { Report::Kernel } else { Report::Caller };
        Self { line, place, report, backoff: Backoff::default(), agent: None, due: None, stopping: false }
    }

    /// Runs until the agent or the machine is to end; gives the exit code. On a machine it does not return.
    pub(super) fn run(mut self) -> u8 {
        let heard: SigSet = HEARD.into_iter().collect();
        self.report.step("block signals", heard.thread_block());
        let signals = match SignalFd::with_flags(&heard, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK) {
            Ok(signals) => signals,
            Err(error) => {
                self.report.failed("hear signals", &error);
                return 1;
            }
        };
        if self.place == Place::Machine {
            // The keys then reach us as SIGINT; until now the kernel would have restarted at once.
            let _ = nix::sys::reboot::set_cad_enabled(false);
            control::precedence(self.report);
        }
        self.start();
        loop {
            match self.turn(&signals) {
                Next::Stay => {}
                Next::Exit(code) => return code,
                Next::Down(down) => self.take_down(down),
            }
        }
    }

    /// Sleeps until something happens, and sees to it.
    fn turn(&mut self, signals: &SignalFd) -> Next {
        let timeout = self.due.map(|due| due.saturating_duration_since(Instant::now()));
        sleep(signals, timeout);
        let mut next = Next::Stay;
        while let Ok(Some(info)) = signals.read_signal() {
            let signal = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
            if let Some(down) = signal.and_then(|signal| self.heard(signal)) {
                next = Next::Down(down);
            }
        }
        for (pid, code) in reaped() {
            if self.agent.as_ref().is_some_and(|agent| agent.pid == pid)
                && let Some(code) = self.agent_ended(code)
            {
                return Next::Exit(code);
            }
        }
        if self.stopping && self.agent.is_none() {
            // The signal came between two agents.
            return Next::Exit(ENDED_BY_TERM);
        }
        if self.due.is_some_and(|due| due <= Instant::now()) {
            self.start();
        }
        next
    }

    /// Takes one signal; on a machine some of them end it.
    fn heard(&mut self, signal: Signal) -> Option<Down> {
        match (self.place, signal) {
            (_, Signal::SIGCHLD | Signal::SIGHUP) => None,
            (Place::Machine, Signal::SIGINT) => Some(Down::Restart),
            (Place::Machine, Signal::SIGQUIT) => None,
            (Place::Machine, _) => Some(Down::PowerOff),
            (_, Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT | Signal::SIGPWR) => {
                self.stopping = true;
                self.tell_agent(Signal::SIGTERM);
                None
            }
            _ => None,
        }
    }

    fn tell_agent(&self, signal: Signal) {
        if let Some(agent) = &self.agent {
            let _ = kill(agent.pid, signal);
        }
    }

    /// Takes the agent's end; gives the code when that is our end too.
    fn agent_ended(&mut self, code: i32) -> Option<u8> {
        let ran = self.agent.take().map_or(Duration::ZERO, |agent| agent.since.elapsed());
        let meant = match self.place {
            Place::Machine => false,
            Place::Container => self.stopping || code < SIGNAL_BASE,
            // Nobody would start it again: the init above does not know that it is gone.
            Place::Child => self.stopping || matches!(code, 0 | WRONG_USAGE),
        };
        if meant {
            return Some(u8::try_from(code).unwrap_or(u8::MAX));
        }
        let wait = self.backoff.ended(ran);
        self.report.wrong(&format!("the agent ended with {code}; the next one starts in {} ms", wait.as_millis()));
        self.due = Some(Instant::now() + wait);
        None
    }

    fn start(&mut self) {
        self.due = None;
        let mut command = Command::new(super::own_program());
        if let Some((name, arguments)) = self.line.split_first() {
            command.arg0(name).args(arguments);
        }
        // The next one is to know what a host told this one.
        command.env_remove(super::INTRODUCED).env("THAWD_KEEP_IDENTITY", "true");
        if self.place == Place::Machine {
            command.env("HOME", "/root").env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        }
        match command.spawn() {
            Ok(child) => {
                let pid = Pid::from_raw(child.id().cast_signed());
                self.agent = Some(Agent { pid, since: Instant::now() });
                if self.place == Place::Machine {
                    control::place(child.id(), self.report);
                }
            }
            Err(error) => {
                self.report.failed("start the agent", &error);
                self.due = Some(Instant::now() + self.backoff.ended(Duration::ZERO));
            }
        }
    }

    /// Ends the agent, then all others, then the machine.
    fn take_down(&mut self, down: Down) -> ! {
        self.report.fact("going down");
        if let Some(agent) = self.agent.take() {
            let _ = kill(agent.pid, Signal::SIGTERM);
            shutdown::gone(Some(agent.pid), AGENT_WINDOW);
        }
        shutdown::finish(down, self.report)
    }
}

/// Waits for a signal, at most so long.
fn sleep(signals: &SignalFd, timeout: Option<Duration>) {
    let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
        // Rounded up: waking early would be a busy loop.
        PollTimeout::try_from(timeout + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
    });
    let _ = poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], timeout);
}

/// Reaps all that ended; tells number and exit code of each.
pub(super) fn reaped() -> impl Iterator<Item = (Pid, i32)> {
    std::iter::from_fn(|| {
        loop {
            return match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => Some((Pid::from_raw(pid.as_raw_pid()), code(status))),
                Err(rustix::io::Errno::INTR) => continue,
                _ => None,
            };
        }
    })
}

/// Gives the exit code as shells have it. Signals count by number: real-time ones have no name.
fn code(status: WaitStatus) -> i32 {
    let signal = status.terminating_signal().map(|number| SIGNAL_BASE + number);
    signal.or(status.exit_status()).unwrap_or(SIGNAL_BASE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_by_a_signal_without_a_name_counts() {
        for (script, expected) in [("exit 101", 101), ("kill -TERM $$", 143), ("kill -40 $$", 168)] {
            #[expect(clippy::zombie_processes, reason = "reaping it is what is tested")]
            let child = Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
            let pid = rustix::process::Pid::from_child(&child);
            let (_, status) = rustix::process::waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
            assert_eq!(code(status), expected, "{script}");
        }
    }

    #[test]
    fn only_an_end_that_was_meant_is_the_supervisors_too() {
        let ends = |place, code| Supervisor::new(Vec::new(), place).agent_ended(code).is_some();
        for (code, machine, container, child) in [
            (0, false, true, true),
            (1, false, true, false),
            (2, false, true, true),
            (101, false, true, false),
            (137, false, false, false),
        ] {
            let found = [Place::Machine, Place::Container, Place::Child].map(|place| ends(place, code));
            assert_eq!(found, [machine, container, child], "{code}");
        }
    }
}
