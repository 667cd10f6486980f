//! What became of one hook.

use std::time::Duration;

use bytes::Bytes;

use super::HookError;

/// Tells what became of one hook, or of one listener that was waited for.
#[derive(Debug)]
pub struct Outcome {
    /// File name of the hook; `client PID` for a listener.
    pub name: String,
    /// From the call to the end, or to the moment it was given up.
    pub took: Duration,
    /// Exit code of a program that ended by itself; `None` for all else.
    pub exit_code: Option<i32>,
    /// What went wrong; `None` for a hook that did its work.
    pub error: Option<HookError>,
    /// The last bytes that a program wrote, stdout and stderr together, or that a server answered with; at most 4 KiB.
    pub output: Bytes,
}

impl Outcome {
    /// Says whether this speaks against a freeze that asked to be aborted by hooks.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.error.as_ref().is_some_and(HookError::is_failure)
    }

    /// Tells of something that took no time and wrote nothing.
    pub(in crate::snapshot) fn at_once(name: String, error: HookError) -> Self {
        Self { name, took: Duration::ZERO, exit_code: None, error: Some(error), output: Bytes::new() }
    }
}
