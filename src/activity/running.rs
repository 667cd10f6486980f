//! How long programs had to run: time that stands still while they do.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::Life;

/// Follows the life of the guest; all times are readings of CLOCK_MONOTONIC. Some machines let that clock jump over a
/// pause, so what passes between a freeze and its thaw is left out.
#[derive(Debug)]
pub(super) struct Running {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    generation: u64,
    still: bool,
    /// When programs began to stand still, or to run: the later of both.
    since: Duration,
    /// How long they stood still before that.
    stood: Duration,
}

impl Running {
    /// Begins with a guest that runs.
    pub(super) fn new(now: Duration) -> Self {
        Self { state: Mutex::new(State { generation: 0, still: false, since: now, stood: Duration::ZERO }) }
    }

    /// Takes in where the guest is; to be called for each change, more often does no harm.
    pub(super) fn follow(&self, life: Life, now: Duration) {
        let mut state = self.lock();
        let still = life.phase.is_still();
        if still == state.still && life.generation == state.generation {
            return;
        }
        let stands = if state.still { now.saturating_sub(state.since) } else { Duration::ZERO };
        *state = State { generation: life.generation, still, since: now, stood: state.stood + stands };
    }

    /// Tells how much of the time until `now` programs had.
    pub(super) fn ran(&self, now: Duration) -> Duration {
        let state = self.lock();
        let stands = if state.still { now.saturating_sub(state.since) } else { Duration::ZERO };
        now.saturating_sub(state.stood + stands)
    }

    /// Tells when the stretch began that programs run, or stand still, now.
    pub(super) fn since(&self) -> Duration {
        self.lock().since
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Phase;

    #[test]
    fn what_passes_while_programs_stand_still_does_not_count() {
        let second = Duration::from_secs;
        let life = |phase, generation| Life { phase, generation, ..Life::default() };
        let running = Running::new(second(100));
        running.follow(life(Phase::Freezing, 0), second(109));
        running.follow(life(Phase::Frozen, 0), second(110));
        assert_eq!(running.ran(second(150)), second(110));
        running.follow(life(Phase::Thawing, 0), second(3710));
        running.follow(life(Phase::Running, 1), second(3711));
        assert_eq!((running.ran(second(3721)), running.since()), (second(120), second(3711)));
        // Noticed without a freeze.
        running.follow(life(Phase::Running, 2), second(3730));
        assert_eq!((running.ran(second(3730)), running.since()), (second(129), second(3730)));
    }
}
