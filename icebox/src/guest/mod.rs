//! VMs for tests: a failure is the test's failure, so everything here panics with the story and never returns an error.
//!
//! ```no_run
//! use icebox::guest::Guest;
//!
//! let guest = Guest::start("scratch");
//! guest.sh("echo once > /tmp/file");
//! let guest = guest.pause().resume();
//! assert_eq!(guest.sh("cat /tmp/file"), "once\n");
//! ```
//!
//! Each guest is a copy of the template of its image, which the first test on the machine makes; one more costs a third
//! of a second. It is gone when it is dropped, and prints its console when that happens in a panic. All is blocking:
//! a test needs no runtime, and must not call this from one.

mod asleep;
mod awake;
mod choice;
mod door;
mod memory;

pub use asleep::Asleep;
pub use awake::Guest;
pub use choice::Choice;
pub use door::Door;
pub use memory::{PAGE, pages_changed};

use std::sync::OnceLock;

use tokio::runtime::Runtime;

/// The runtime of all guests of this process.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| told(Runtime::new(), "starting a runtime"))
}

/// Unwraps, or fails the test with the whole chain of causes.
#[expect(clippy::panic, reason = "the failure of a test")]
#[track_caller]
fn told<T, E: std::error::Error>(outcome: Result<T, E>, doing: &str) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => panic!("{doing}: {}", chain(&error)),
    }
}

/// Writes an error with its causes.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
