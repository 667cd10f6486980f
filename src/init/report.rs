//! Telling what a step of the start could not do, before there is any log.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;

/// Says who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// The kernel's log, and by it the console.
    Kernel,
    /// Whoever started us.
    Caller,
    /// Nobody: a container that refuses a mount is the rule and no fault.
    Silent,
}

/// Level of a failure (`KERN_ERR`): shown on the console even with `quiet`.
const FAILURE: u8 = 3;
/// Level of a fact (`KERN_INFO`).
const FACT: u8 = 6;

impl Report {
    /// Tells that something could not be done; `what` goes on after "cannot".
    pub(super) fn failed(self, what: &str, error: &dyn Error) {
        self.write(FAILURE, &format!("cannot {what}: {error}"));
    }

    /// Tells a failure that has no error behind it.
    pub(super) fn wrong(self, what: &str) {
        self.write(FAILURE, what);
    }

    /// Tells something that is as it should be.
    pub(super) fn fact(self, what: &str) {
        self.write(FACT, what);
    }

    /// Tells the failure of a step, if it is one, and says whether it worked.
    pub(super) fn step<E: Error>(self, what: &str, result: Result<(), E>) -> bool {
        if let Err(error) = &result {
            self.failed(what, error);
        }
        result.is_ok()
    }

    fn write(self, level: u8, text: &str) {
        match self {
            Self::Silent => return,
            Self::Caller => return eprintln!("thawd: {text}"),
            Self::Kernel => {}
        }
        // One write is one record (Documentation/ABI/testing/dev-kmsg).
        let record = format!("<{level}>thawd: {text}\n");
        let log = OpenOptions::new().write(true).open("/dev/kmsg");
        if log.and_then(|mut log| log.write_all(record.as_bytes())).is_err() {
            eprintln!("thawd: {text}");
        }
    }
}
