//! What the driver of a freeze tells programs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::crowd::{Answer, Crowd, Question};
use super::line::Event;
use super::{Resumed, door, generation};
use crate::activity::Holds;
use crate::base::{Lives, Tasks};
use crate::snapshot::hooks::{HookError, Outcome};

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

/// Tells programs what happens to them; clones share the listeners.
#[derive(Clone, Debug)]
pub struct Notifier {
    file: Arc<Path>,
    wait: Duration,
    crowd: Arc<Mutex<Crowd>>,
}

/// Name of the file in the folder.
const FILE: &str = "generation";
/// Name of the socket in the folder.
const SOCKET: &str = "lifecycle.sock";

impl Notifier {
    /// Opens the socket; where that is impossible (a `/run` that cannot be written to) it says so in the log and goes
    /// on without. Listeners may hold the guest awake by `holds`. Needs a running runtime.
    #[must_use]
    pub fn start(settings: Settings, holds: Holds, lives: Lives, tasks: &Tasks) -> Self {
        let crowd = Arc::new(Mutex::new(Crowd::new(holds)));
        let (file, wait) = (settings.folder.join(FILE).into(), settings.wait);
        let socket = settings.folder.join(SOCKET);
        match door::make_folder(&settings.folder).and_then(|()| door::open(&socket)) {
            Ok(door) => tasks.spawn(door::keep(door, settings, lives, Arc::clone(&crowd), tasks.clone())),
            Err(error) => tracing::warn!(socket = %socket.display(), %error, "programs cannot listen to freezes"),
        }
        Self { file, wait, crowd }
    }

    /// Reads the generation file as an agent before this one left it.
    #[must_use]
    pub fn last(&self) -> Option<Resumed> {
        generation::read(&self.file)
    }

    /// Writes the generation file anew; readers see the old one or the new one, never a half. Two calls at once may
    /// fail with EEXIST.
    ///
    /// # Errors
    /// What the file system said.
    pub fn write_generation(&self, resumed: &Resumed) -> io::Result<()> {
        generation::write(&self.file, resumed)
    }

    /// Tells all listeners that the workload is about to be frozen, and waits for those that asked for it: at most
    /// `budget`, and never longer than [`Settings::wait`]. One outcome for each of the latter; who went meanwhile has
    /// none. Dropping it stops the waiting; listeners are not told of that, see [`Notifier::cancelled`].
    pub async fn will_freeze(&self, budget: Duration, generation: u64) -> Vec<Outcome> {
        let began = Instant::now();
        let limit = budget.min(self.wait);
        let mut outcomes = Vec::new();
        for question in self.announce(limit, generation) {
            outcomes.extend(listen(question, began, limit).await);
        }
        outcomes
    }

    /// Tells all listeners that the pause is over; never waits.
    pub fn thawed(&self, resumed: &Resumed) {
        self.tell(|| Event::thawed(resumed).line());
    }

    /// Tells all listeners that the freeze that was announced does not take place; never waits.
    pub fn cancelled(&self, generation: u64) {
        self.tell(|| Event::Cancelled { generation }.line());
    }

    fn announce(&self, limit: Duration, generation: u64) -> Vec<Question> {
        let mut crowd = self.crowd();
        if crowd.is_empty() {
            return Vec::new();
        }
        let freeze = crowd.begin();
        let deadline_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        crowd.tell(&Event::WillFreeze { freeze, generation, deadline_ms }.line());
        crowd.ask()
    }

    fn tell(&self, line: impl FnOnce() -> Bytes) {
        let mut crowd = self.crowd();
        if !crowd.is_empty() {
            crowd.tell(&line());
        }
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Notifier {
    /// Counts the listeners that have not been sent away.
    pub(super) fn listeners(&self) -> usize {
        self.crowd().count(0).0
    }

    /// Counts those that are waited for.
    pub(super) fn waited_for(&self) -> usize {
        self.crowd().waiting()
    }
}

/// Waits for one answer; `None` when the listener has gone and needs no more consideration.
async fn listen(question: Question, began: Instant, limit: Duration) -> Option<Outcome> {
    let Question { name, answer } = question;
    let (at, error) = match timeout_at(began + limit, answer).await {
        Ok(Ok(Answer { at, busy })) => (at, busy.map(HookError::Busy)),
        Ok(Err(_)) => return None,
        Err(_) => (Instant::now(), Some(HookError::Late(limit))),
    };
    if let Some(error) = &error {
        tracing::warn!(listener = name, %error, "a listener is not ready for the freeze");
    }
    Some(Outcome { name, took: at.saturating_duration_since(began), exit_code: None, error, output: Bytes::new() })
}
