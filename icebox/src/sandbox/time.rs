//! A keeper at work: deadlines.

use std::time::Duration;

use tokio::time::Instant;

use super::error::SandboxError;
use super::face::now_ms;
use super::keeper::{Body, Keeper};
use super::{OnTimeout, PauseMode, State, rules};

/// After a pause at the deadline that failed, until the next try.
const TRY_AGAIN: Duration = Duration::from_secs(30);

impl Keeper {
    /// The time is up.
    pub(super) async fn expire(&mut self) {
        match self.record.lifecycle.on_timeout {
            OnTimeout::Kill => {
                tracing::info!(id = %self.record.id, "the time of a sandbox is up: it is removed");
                self.face.kill.cancel();
            }
            OnTimeout::Pause(mode) => {
                tracing::info!(id = %self.record.id, "the time of a sandbox is up: it is paused");
                if let Err(error) = self.pause(mode, false, None).await {
                    tracing::warn!(id = %self.record.id, %error, "a sandbox whose time is up could not be paused");
                }
                if let Body::Running(running) = &mut self.body {
                    running.deadline = Instant::now() + TRY_AGAIN;
                }
            }
        }
    }

    /// The agent says that nobody uses this VM.
    pub(super) async fn idle(&mut self, number: u64) {
        let is_it = matches!(&self.body, Body::Running(running) if running.number == number);
        if is_it {
            tracing::info!(id = %self.record.id, "a sandbox is idle: it is paused");
            if let Err(error) = self.pause(PauseMode::Full, true, None).await {
                tracing::warn!(id = %self.record.id, %error, "an idle sandbox could not be paused");
            }
        }
    }

    /// Gives a VM that runs another deadline.
    pub(super) fn set_timeout(&mut self, timeout: Duration, only_later: bool) -> Result<(), SandboxError> {
        let Body::Running(running) = &mut self.body else {
            return Err(SandboxError::Paused(self.record.id.clone()));
        };
        let (now, end) = (now_ms(), self.record.end_ms);
        let new = rules::deadline(now, Some(end), timeout, only_later);
        if new != end {
            self.record.end_ms = new;
            self.record.timeout_s = rules::sane(timeout).as_secs();
            running.deadline = Instant::now() + Duration::from_millis(new.saturating_sub(now));
            self.show(State::Running);
        }
        Ok(())
    }

    /// Gives a VM that runs more time, never less.
    pub(super) fn prolong(&mut self, timeout: Duration) {
        // It runs, or has no deadline.
        drop(self.set_timeout(timeout, true));
    }
}
