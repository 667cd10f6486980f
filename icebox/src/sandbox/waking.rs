//! A keeper at work: from files to a VM, and the ways into it.

use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::care::Care;
use super::error::SandboxError;
use super::face::now_ms;
use super::keeper::{Body, Keeper};
use super::{OnTimeout, PauseMode, Reach, State, View, rules};

impl Keeper {
    pub(super) async fn connect(&mut self, timeout: Duration, memory: bool) -> Result<(View, bool), SandboxError> {
        let mode = match &self.body {
            Body::Running(_) => None,
            Body::Paused(_, mode) => Some(if memory { *mode } else { PauseMode::Filesystem }),
            Body::Gone => return Err(SandboxError::NotFound(self.record.id.clone())),
        };
        self.face.touch();
        match mode {
            Some(mode) => self.wake_for(mode, timeout).await?,
            None => self.prolong(timeout),
        }
        Ok((self.running_view(), mode.is_some()))
    }

    pub(super) async fn resume(
        &mut self,
        timeout: Duration,
        on_timeout: Option<OnTimeout>,
    ) -> Result<View, SandboxError> {
        let mode = match &self.body {
            Body::Running(_) => return Err(SandboxError::AlreadyRunning(self.record.id.clone())),
            Body::Paused(_, mode) => *mode,
            Body::Gone => return Err(SandboxError::NotFound(self.record.id.clone())),
        };
        self.face.touch();
        let before = self.record.lifecycle;
        self.record.lifecycle.on_timeout = on_timeout.unwrap_or(before.on_timeout);
        if let Err(error) = self.wake_for(mode, timeout).await {
            self.record.lifecycle = before;
            return Err(error);
        }
        Ok(self.running_view())
    }

    pub(super) async fn reach(&mut self, port: u16) -> Result<Reach, SandboxError> {
        if let Body::Paused(_, mode) = &self.body {
            let mode = *mode;
            if self.record.left_ms.is_some() {
                self.wake_suspended().await;
            } else if self.record.lifecycle.auto_resume && mode == PauseMode::Full {
                self.wake_for(mode, rules::woken(Duration::from_secs(self.record.timeout_s))).await?;
            }
        }
        let Body::Running(running) = &mut self.body else {
            return Err(SandboxError::NotFound(self.record.id.clone()));
        };
        self.face.touch();
        let failed = SandboxError::host("forwarding a port");
        if running.vm.address(port).is_none()
            && let Some(old) = self.face.make_room()
        {
            running.vm.unforward(old).await.map_err(SandboxError::host("forwarding a port"))?;
        }
        let address = running.vm.forward(port).await.map_err(failed)?;
        self.face.add(port, address);
        self.face.reach(port).ok_or_else(|| SandboxError::NotFound(self.record.id.clone()))
    }

    /// Wakes what the host paused on its way down.
    pub(super) async fn wake_suspended(&mut self) {
        let (Body::Paused(_, mode), Some(left)) = (&self.body, self.record.left_ms) else { return };
        if let Err(error) = self.wake_for(*mode, Duration::from_millis(left)).await {
            tracing::warn!(id = %self.record.id, %error, "a sandbox was not resumed after a restart of the host");
        }
    }

    /// Wakes what is paused, and gives it so much time from when it runs.
    async fn wake_for(&mut self, mode: PauseMode, timeout: Duration) -> Result<(), SandboxError> {
        let before = (self.record.end_ms, self.record.timeout_s);
        let timeout = rules::sane(timeout);
        self.record.end_ms = rules::deadline(now_ms(), None, timeout, false);
        self.record.timeout_s = timeout.as_secs();
        let woken = self.wake(mode, None).await;
        match woken {
            // Not from when it was asked for: a boot takes seconds.
            Ok(()) => self.prolong(timeout),
            Err(_) => (self.record.end_ms, self.record.timeout_s) = before,
        }
        woken
    }

    /// Wakes what is paused until the end that its record has, in a place that it has or finds. A failure leaves it
    /// paused as before.
    pub(super) async fn wake(
        &mut self,
        mode: PauseMode,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<(), SandboxError> {
        let Body::Paused(snapshot, kept_mode) = &self.body else { return Ok(()) };
        let kept_mode = *kept_mode;
        let place = place.map_or_else(|| self.ground.place(), Ok)?;
        let snapshot = snapshot.clone();
        self.show(State::Resuming);
        let care = match mode {
            PauseMode::Full => Care::of(&self.record),
            PauseMode::Filesystem => Care::of_boot(&self.record),
        };
        match self.ground.start(&self.record, &snapshot, mode, &care).await {
            Ok(started) => {
                self.record.last_resume = started.phases;
                self.record.runs = true;
                self.record.left_ms = None;
                self.record.trouble = None;
                self.run_vm(started.vm, place);
                // A crash before this is written leads to the same pause.
                self.note().await;
                Ok(())
            }
            Err(error) => {
                tracing::warn!(id = %self.record.id, %error, "a sandbox was not resumed");
                self.record.trouble = Some(error.to_string());
                self.show(State::Paused(kept_mode));
                Err(error)
            }
        }
    }

    /// Tells an agent that was started again in its guest who it is.
    pub(super) async fn tell_again(&mut self, number: u64) {
        let Body::Running(running) = &self.body else { return };
        if running.number != number {
            return;
        }
        tracing::info!(id = %self.record.id, "an agent was started again: it is told its token and variables");
        if let Err(error) = self.agent(&running.vm).init(&self.record.init()).await {
            tracing::warn!(id = %self.record.id, %error, "an agent could not be told who it is");
        }
    }

    fn running_view(&self) -> View {
        View { active_ms: self.face.active_ms(), ..self.record.view(State::Running) }
    }
}
