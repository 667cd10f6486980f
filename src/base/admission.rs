//! Who may come in while the guest is not running.
//!
//! A request that comes while the guest is frozen is the one that woke it: it waits until programs run again, and is
//! then served as any other. One that came *before* the pause and waits since then is a ghost: whoever sent it has
//! been told long ago that it failed, and may have sent it again. Both look the same from inside, but for the wall
//! clock: after a pause it is behind the true time until the thaw sets it, before the pause it was not.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{Failure, Kind, Life, Lives, Phase};

/// How long a request waits for programs to run: twice what a slow thaw takes, and what clients wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests that wait at the same time: each holds a connection and its request head.
const PLACES: usize = 256;
/// Shortest pause that tells ghosts from others; below it, clients are still there.
const TELLING_STEP: Duration = Duration::from_secs(2);

/// Tells how far the wall clock is behind the true time now; `None` where nobody knows the true time.
pub type Gap = Arc<dyn Fn() -> Option<Duration> + Send + Sync>;

/// Lets requests in while programs run, and decides what becomes of them else; clones share the places to wait.
#[derive(Clone)]
pub struct Admission {
    lives: Lives,
    gap: Gap,
    places: Arc<Semaphore>,
}

/// Says why a request may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Programs are being stopped.
    #[error("the sandbox is being paused; try again")]
    Pausing,
    /// Programs did not run again in time.
    #[error("the sandbox did not wake up in time; try again")]
    Late,
    /// Too many wait already.
    #[error("too many requests wait for the sandbox to wake up; try again")]
    Crowded,
    /// It came before the pause.
    #[error("the request is from before the pause")]
    Ghost,
}

impl Failure for Refused {
    fn kind(&self) -> Kind {
        match self {
            Self::Pausing | Self::Late | Self::Crowded | Self::Ghost => Kind::Unavailable,
        }
    }
}

impl Admission {
    /// Follows `lives`; `gap` is asked when a request has to wait.
    #[must_use]
    pub fn new(lives: Lives, gap: Gap) -> Self {
        Self { lives, gap, places: Arc::new(Semaphore::new(PLACES)) }
    }

    /// Gives the life that it follows.
    #[must_use]
    pub fn lives(&self) -> Lives {
        self.lives.clone()
    }

    /// Lets a request in, at once while programs run, or when they do again. Cancelling it gives the place free.
    ///
    /// # Errors
    /// See [`Refused`]; the request must then not be executed.
    pub async fn enter(&self) -> Result<(), Refused> {
        if self.lives.now().guarded { self.enter_workload().await } else { Ok(()) }
    }

    /// As [`Admission::enter`], for work that becomes part of what is frozen: where a host stopped the programs only,
    /// others come in, but this waits.
    ///
    /// # Errors
    /// As [`Admission::enter`].
    pub async fn enter_workload(&self) -> Result<(), Refused> {
        let arrival = self.lives.now();
        match arrival.phase {
            Phase::Running => Ok(()),
            Phase::Freezing => Err(Refused::Pausing),
            Phase::Frozen | Phase::Thawing => self.wait(arrival).await,
        }
    }

    async fn wait(&self, arrival: Life) -> Result<(), Refused> {
        let gap = (self.gap)();
        let _place = self.places.try_acquire().map_err(|_| Refused::Crowded)?;
        let mut lives = self.lives.clone();
        let awake = lives.until(|life| !life.phase.is_still());
        let life = tokio::time::timeout(PATIENCE, awake).await.map_err(|_| Refused::Late)?;
        match life.phase {
            Phase::Freezing => Err(Refused::Pausing),
            _ if life.generation != arrival.generation
                && life.notices != arrival.notices
                && is_ghost(gap, life.step) =>
            {
                Err(Refused::Ghost)
            }
            _ => Ok(()),
        }
    }
}

/// Half a step is far from both sides: no clock is that wrong.
fn is_ghost(gap: Option<Duration>, step: Duration) -> bool {
    step >= TELLING_STEP && gap.is_some_and(|gap| gap < step / 2)
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("lives", &self.lives).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::watch;
    use tokio::time::Instant;

    use super::*;

    struct Guest {
        life: watch::Sender<Life>,
        gap: Arc<Mutex<Option<Duration>>>,
        admission: Admission,
    }

    fn guest(phase: Phase) -> Guest {
        let life = watch::Sender::new(Life { phase, guarded: true, ..Life::default() });
        let gap = Arc::new(Mutex::new(None));
        let asked = Arc::clone(&gap);
        let admission = Admission::new(Lives::new(life.subscribe()), Arc::new(move || *asked.lock().unwrap()));
        Guest { life, gap, admission }
    }

    impl Guest {
        /// Lets a request come and wait.
        async fn waiting(&self) -> tokio::task::JoinHandle<Result<(), Refused>> {
            let admission = self.admission.clone();
            let places = self.admission.places.available_permits();
            let waiting = tokio::spawn(async move { admission.enter().await });
            while self.admission.places.available_permits() == places {
                tokio::task::yield_now().await;
            }
            waiting
        }

        fn thaw(&self, generation: u64, step: u64) {
            let step = Duration::from_secs(step);
            self.life.send_replace(Life { generation, step, notices: 1, ..Life::default() });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_comes_before_the_thaw_ends_waits_for_it() {
        let guest = guest(Phase::Frozen);
        let waiting = guest.waiting().await;
        guest.life.send_modify(|life| life.phase = Phase::Thawing);
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(!waiting.is_finished());
        guest.thaw(1, 0);
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn while_programs_are_being_stopped_nobody_waits() {
        let guest = guest(Phase::Freezing);
        assert_eq!(guest.admission.enter().await, Err(Refused::Pausing));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_and_places_end() {
        let guest = guest(Phase::Frozen);
        let began = Instant::now();
        let waiting = guest.waiting().await;
        let mut others = Vec::new();
        for _ in 1..PLACES {
            others.push(guest.waiting().await);
        }
        assert_eq!(guest.admission.enter().await, Err(Refused::Crowded));
        assert_eq!(waiting.await.unwrap(), Err(Refused::Late));
        assert_eq!(began.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_came_before_the_pause_is_a_ghost() {
        for (gap, step, outcome) in [
            (Some(0), 60, Err(Refused::Ghost)),
            (Some(29), 60, Err(Refused::Ghost)),
            (Some(60), 60, Ok(())),
            (None, 60, Ok(())),
            (Some(0), 1, Ok(())),
        ] {
            let guest = guest(Phase::Frozen);
            *guest.gap.lock().unwrap() = gap.map(Duration::from_secs);
            let waiting = guest.waiting().await;
            guest.thaw(1, step);
            assert_eq!(waiting.await.unwrap(), outcome, "{gap:?} {step}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_freeze_that_is_undone_has_no_ghosts_of_an_earlier_pause() {
        let guest = guest(Phase::Frozen);
        *guest.gap.lock().unwrap() = Some(Duration::ZERO);
        let waiting = guest.waiting().await;
        guest.thaw(0, 60);
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }
}
