//! Whether the workload runs, and time that stands still while it does not.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Says where the guest is between running and frozen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Programs run.
    #[default]
    Running,
    /// Clients are being parted and programs stopped; new work is refused.
    Freezing,
    /// Programs stand still; the machine may be stopped, copied and started again at any instruction.
    Frozen,
    /// The guest is being repaired; programs still stand still, new work waits.
    Thawing,
}

impl Phase {
    /// Says whether programs stand still, and so whether their time does.
    #[must_use]
    pub fn is_still(self) -> bool {
        matches!(self, Self::Frozen | Self::Thawing)
    }
}

/// Says what happens to the guest as a whole; one publisher (the snapshot room), many followers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// Whether programs run.
    pub phase: Phase,
    /// Counts the lives of this guest: each resume begins a new one. Clones of one snapshot have equal numbers.
    pub generation: u64,
    /// New work is kept out. Not so where a host stopped the programs only: envd serves on then.
    pub guarded: bool,
    /// Counts the times that clients had to be parted: their streams end, their connections close.
    pub partings: u64,
    /// Counts the times that a resume was noticed, or a thaw begun: what came after that is of the new life.
    pub notices: u64,
    /// How far the last thaw set the wall clock forward: the length of the pause, as the guest saw it.
    pub step: Duration,
}

/// Follows the life of the guest; clones follow the same one.
#[derive(Clone, Debug)]
pub struct Lives {
    receiver: watch::Receiver<Life>,
    /// Partings that had been when this began.
    partings: u64,
}

impl Lives {
    /// Follows a publisher.
    #[must_use]
    pub fn new(receiver: watch::Receiver<Life>) -> Self {
        let partings = receiver.borrow().partings;
        Self { receiver, partings }
    }

    /// Follows for something that begins now: it is parted from the next time on.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self::new(self.receiver.clone())
    }

    /// A life without freezes, for tests and for guests that are never paused.
    #[must_use]
    pub fn always() -> Self {
        // A receiver outlives its sender and keeps the last value.
        Self::new(watch::Sender::new(Life::default()).subscribe())
    }

    /// Gives the present state.
    #[must_use]
    pub fn now(&self) -> Life {
        *self.receiver.borrow()
    }

    /// Waits until `test` holds, at once if it does; for ever when the publisher has gone. Cancel-safe.
    pub async fn until(&mut self, test: impl FnMut(&Life) -> bool) -> Life {
        let found = self.receiver.wait_for(test).await.map(|life| *life);
        match found {
            Ok(life) => life,
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits until something was published since the last change that this told of, or since it began; for ever when the
    /// publisher has gone. Smaller than [`Lives::until`]; the caller looks what it is. Cancel-safe.
    pub async fn change(&mut self) {
        if self.receiver.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Says whether clients have been parted since this began.
    #[must_use]
    pub fn is_parted(&self) -> bool {
        self.now().partings != self.partings
    }

    /// Waits until clients are parted. Cancel-safe.
    pub async fn parted(&mut self) {
        let partings = self.partings;
        self.until(|life| life.partings != partings).await;
    }

    /// Sleeps for `duration` of running time: what passes while programs are frozen does not count. Cancelling it
    /// loses what was slept.
    pub async fn sleep(&mut self, mut duration: Duration) {
        loop {
            self.until(|life| !life.phase.is_still()).await;
            let began = Instant::now();
            tokio::select! {
                () = tokio::time::sleep(duration) => return,
                _ = self.until(|life| life.phase.is_still()) => {
                    duration = duration.saturating_sub(began.elapsed());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_stands_still_while_frozen() {
        let life = watch::Sender::new(Life::default());
        let mut lives = Lives::new(life.subscribe());
        let began = Instant::now();
        let sleep = tokio::spawn(async move {
            lives.sleep(Duration::from_secs(10)).await;
            began.elapsed()
        });
        tokio::time::sleep(Duration::from_secs(4)).await;
        life.send_replace(Life { phase: Phase::Frozen, ..Life::default() });
        tokio::time::sleep(Duration::from_secs(900)).await;
        life.send_replace(Life { phase: Phase::Thawing, ..Life::default() });
        tokio::time::sleep(Duration::from_secs(100)).await;
        life.send_replace(Life { phase: Phase::Running, generation: 1, ..Life::default() });
        assert_eq!(sleep.await.unwrap().as_secs(), 1010);
    }

    #[tokio::test(start_paused = true)]
    async fn a_life_without_a_publisher_runs() {
        let mut lives = Lives::always();
        let began = Instant::now();
        lives.sleep(Duration::from_secs(3)).await;
        assert_eq!(began.elapsed().as_secs(), 3);
    }
}
