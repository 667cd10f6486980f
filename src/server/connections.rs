//! The open connections, and what is asked on each: so that a freeze knows when all but its own are gone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::activity::Pulse;
use crate::base::Lives;

/// Counts connections and closes them when the guest is about to be paused; clones share the count.
#[derive(Clone, Debug)]
pub struct Connections {
    lives: Lives,
    pulse: Pulse,
    open: Arc<Open>,
}

#[derive(Debug, Default)]
struct Open {
    visits: Mutex<HashMap<u64, Arc<Visit>>>,
    next: AtomicU64,
}

/// Knows what one connection is busy with.
#[derive(Debug, Default)]
pub(super) struct Visit {
    turns: Mutex<Turns>,
    /// Told of each change.
    changed: Notify,
}

/// Counts the requests that are being answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Turns {
    /// Those that control the life of the guest.
    control: u32,
    others: u32,
    /// The first request has come.
    begun: bool,
    /// The connection is closed, and everything written to it has arrived.
    gone: bool,
    /// Requests that control nothing have to end.
    cut: bool,
}

/// Keeps a connection counted.
pub(super) struct Entered {
    open: Arc<Open>,
    id: u64,
    visit: Arc<Visit>,
}

/// Marks a request as being answered until the answer's body is gone.
pub(super) struct Answering {
    visit: Arc<Visit>,
    control: bool,
}

impl Connections {
    /// Counts from zero, and parts when `lives` says so.
    #[must_use]
    pub fn new(lives: Lives) -> Self {
        Self { lives, pulse: Pulse::default(), open: Arc::default() }
    }

    /// Lets TCP connections be told to `pulse` as those of the agent.
    #[must_use]
    pub fn counted(self, pulse: Pulse) -> Self {
        Self { pulse, ..self }
    }

    /// Waits until of the connections open now only those are left on which nothing but control requests is being
    /// answered, and what was written to the others has arrived; at most `limit`. Says how many are left.
    ///
    /// Connections close by themselves once [`Life::partings`](crate::base::Life::partings) is raised; call it then. It
    /// takes little more than the 500 ms for which requests may finish and the 200 ms for which bytes may arrive.
    pub async fn parted(&self, limit: Duration) -> usize {
        let visits: Vec<_> = self.open.lock().values().cloned().collect();
        let all = async {
            for visit in &visits {
                visit.until(Turns::is_parted).await;
            }
        };
        let _ = tokio::time::timeout(limit, all).await;
        visits.iter().filter(|visit| !visit.turns().is_parted()).count()
    }

    /// Says that a TCP connection was accepted.
    pub(super) fn accepted(&self) {
        self.pulse.accepted();
    }

    pub(super) fn lives(&self) -> Lives {
        self.lives.clone()
    }

    pub(super) fn enter(&self) -> Entered {
        let id = self.open.next.fetch_add(1, Ordering::Relaxed);
        let visit = Arc::<Visit>::default();
        self.open.lock().insert(id, Arc::clone(&visit));
        Entered { open: Arc::clone(&self.open), id, visit }
    }
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Visit>>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    fn is_parted(&self) -> bool {
        self.gone || (self.control > 0 && self.others == 0)
    }
}

impl Entered {
    pub(super) fn visit(&self) -> &Arc<Visit> {
        &self.visit
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.open.lock().remove(&self.id);
        self.visit.change(|turns| turns.gone = true);
    }
}

impl Visit {
    /// Counts a request in.
    pub(super) fn answering(self: &Arc<Self>, control: bool) -> Answering {
        self.change(|turns| {
            turns.begun = true;
            *turns.count(control) += 1;
        });
        Answering { visit: Arc::clone(self), control }
    }

    /// Waits for the first request.
    pub(super) async fn begun(&self) {
        self.until(|turns| turns.begun).await;
    }

    pub(super) fn is_controlling(&self) -> bool {
        self.turns().control > 0
    }

    /// Waits until no control request is being answered.
    pub(super) async fn controlled(&self) {
        self.until(|turns| turns.control == 0).await;
    }

    /// Ends what does not control anything.
    pub(super) fn cut(&self) {
        self.change(|turns| turns.cut = true);
    }

    fn turns(&self) -> Turns {
        *self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Turns)) {
        change(&mut self.turns.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
    }

    async fn until(&self, test: impl Fn(&Turns) -> bool) {
        loop {
            // Told of what changes from here on, even before it is polled.
            let changed = self.changed.notified();
            if test(&self.turns()) {
                return;
            }
            changed.await;
        }
    }
}

impl Turns {
    fn count(&mut self, control: bool) -> &mut u32 {
        if control { &mut self.control } else { &mut self.others }
    }
}

impl Answering {
    /// Says whether this request has to end unfinished.
    pub(super) fn is_cut(&self) -> bool {
        !self.control && self.visit.turns().cut
    }

    /// Comes when this request has to end unfinished; never for one of control.
    pub(super) fn cut(&self) -> impl Future<Output = ()> + Send + use<> {
        let visit = (!self.control).then(|| Arc::clone(&self.visit));
        async move {
            match visit {
                Some(visit) => visit.until(|turns| turns.cut).await,
                None => std::future::pending().await,
            }
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.visit.change(|turns| *turns.count(self.control) -= 1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn parted_waits_for_all_but_control() {
        let connections = Connections::new(Lives::always());
        let (host, client) = (connections.enter(), connections.enter());
        let freeze = host.visit().answering(true);
        let upload = host.visit().answering(false);
        assert_eq!(connections.parted(LIMIT).await, 2);
        drop(client);
        assert_eq!(connections.parted(LIMIT).await, 1);
        host.visit().cut();
        upload.cut().await;
        drop(upload);
        let began = Instant::now();
        assert_eq!((connections.parted(LIMIT).await, began.elapsed()), (0, Duration::ZERO));
        assert!(tokio::time::timeout(LIMIT, freeze.cut()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_later_holds_nothing_up() {
        let connections = Connections::new(Lives::always());
        let early = connections.enter();
        let others = connections.clone();
        let waiting = tokio::spawn(async move { others.parted(LIMIT).await });
        tokio::task::yield_now().await;
        let _late = connections.enter();
        drop(early);
        assert_eq!(waiting.await.unwrap(), 0);
    }
}
