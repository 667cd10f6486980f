//! How a program ended, in the words that clients read.

use crate::sys::wait::Ended;

/// Says how a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(Ended);

impl Exit {
    pub(super) fn new(ended: Ended) -> Self {
        Self(ended)
    }

    /// Gives the exit code; -1 when a signal ended it.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self.0 {
            Ended::Code(code) => code,
            Ended::Signal { .. } => -1,
        }
    }

    /// Says whether it ended by itself.
    #[must_use]
    pub fn exited(&self) -> bool {
        matches!(self.0, Ended::Code(_))
    }

    /// Says it in words: `exit status 2`, `signal: killed`.
    #[must_use]
    pub fn status(&self) -> String {
        match self.0 {
            Ended::Code(code) => format!("exit status {code}"),
            Ended::Signal { number, core } => {
                let dumped = if core { " (core dumped)" } else { "" };
                match signal_name(number) {
                    Some(name) => format!("signal: {name}{dumped}"),
                    None => format!("signal: signal {number}{dumped}"),
                }
            }
        }
    }

    /// Gives the words again when it ended badly.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        (self.0 != Ended::Code(0)).then(|| self.status())
    }
}

/// Names a signal as Go's `syscall.Signal` prints it on Linux, which clients compare with.
fn signal_name(number: i32) -> Option<&'static str> {
    const NAMES: [&str; 31] = [
        "hangup",
        "interrupt",
        "quit",
        "illegal instruction",
        "trace/breakpoint trap",
        "aborted",
        "bus error",
        "floating point exception",
        "killed",
        "user defined signal 1",
        "segmentation fault",
        "user defined signal 2",
        "broken pipe",
        "alarm clock",
        "terminated",
        "stack fault",
        "child exited",
        "continued",
        "stopped (signal)",
        "stopped",
        "stopped (tty input)",
        "stopped (tty output)",
        "urgent I/O condition",
        "CPU time limit exceeded",
        "file size limit exceeded",
        "virtual timer expired",
        "profiling timer expired",
        "window changed",
        "I/O possible",
        "power failure",
        "bad system call",
    ];
    NAMES.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_reads_as_the_contract_says() {
        let signal = |number, core| Exit(Ended::Signal { number, core });
        for (exit, code, status, error) in [
            (Exit(Ended::Code(0)), 0, "exit status 0", false),
            (Exit(Ended::Code(3)), 3, "exit status 3", true),
            (signal(9, false), -1, "signal: killed", true),
            (signal(15, false), -1, "signal: terminated", true),
            (signal(11, true), -1, "signal: segmentation fault (core dumped)", true),
            (signal(31, false), -1, "signal: bad system call", true),
            (signal(40, false), -1, "signal: signal 40", true),
        ] {
            assert_eq!((exit.code(), exit.status().as_str(), exit.error().is_some()), (code, status, error));
            assert_eq!(exit.exited(), code >= 0);
        }
    }
}
