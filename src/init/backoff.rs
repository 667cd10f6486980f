//! When to start an agent again that ended.

use std::time::Duration;

/// An agent that ran so long was well: the next end is a first one again.
const WELL: Duration = Duration::from_secs(10);
/// Wait after the second end in a row; each further one doubles it.
const SECOND: Duration = Duration::from_millis(100);
/// The wait grows no further: somebody may mend what is wrong, and then waits for us.
const LONGEST: Duration = Duration::from_secs(10);

/// Counts ends in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    ends: u32,
}

impl Backoff {
    /// Takes the end of an agent that ran so long, and says how long to wait: at first not at all.
    pub(super) fn ended(&mut self, ran: Duration) -> Duration {
        self.ends = if ran >= WELL { 1 } else { self.ends.saturating_add(1) };
        match self.ends {
            1 => Duration::ZERO,
            ends => SECOND.saturating_mul(1 << (ends - 2).min(16)).min(LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_end_costs_nothing_and_the_wait_has_a_bound() {
        let mut backoff = Backoff::default();
        let mut waits = (0..100).map(|_| backoff.ended(Duration::ZERO).as_millis());
        let first: Vec<_> = waits.by_ref().take(5).collect();
        assert_eq!(first, [0, 100, 200, 400, 800]);
        assert_eq!(waits.last(), Some(10_000));
    }

    #[test]
    fn an_agent_that_was_well_starts_at_once() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.ended(Duration::from_millis(1));
        }
        assert_eq!(backoff.ended(WELL), Duration::ZERO);
        assert_eq!(backoff.ended(Duration::ZERO), SECOND);
    }
}
