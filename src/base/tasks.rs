//! Background tasks: started in one place, counted, ended in one drain.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// Starts and counts background tasks; clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// By number; empty while a task is being started.
    running: HashMap<u64, Option<AbortHandle>>,
    /// Tasks started so far.
    count: u64,
    stopped: bool,
}

/// Tasks for which there is room without a look at how many there are.
const ROOM: usize = 64;

impl Tasks {
    /// Starts `work`; it is dropped at its next await once [`Tasks::drain`] is called.
    ///
    /// A task is as large as `work`: an async block around it would hold it twice, as what it captured and as what it
    /// awaits.
    pub fn spawn<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let guard = Guard::new(&self.inner);
        let number = guard.number;
        let task = tokio::spawn(work.map(move |()| drop(guard))).abort_handle();
        let mut state = self.inner.lock();
        let stopped = state.stopped;
        // It may have ended meanwhile, where there are more threads.
        if let Some(place) = state.running.get_mut(&number) {
            *place = Some(task.clone());
        }
        drop(state);
        if stopped {
            task.abort();
        }
    }

    /// Counts the tasks that have not ended.
    #[must_use]
    pub fn running(&self) -> usize {
        self.inner.lock().running.len()
    }

    /// Tells every task to stop and waits for the last, at most `limit`; says how many were left.
    pub async fn drain(&self, limit: Duration) -> usize {
        self.stop();
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let ended = self.inner.ended.notified();
            let left = self.running();
            if left == 0 || tokio::time::timeout_at(deadline, ended).await.is_err() {
                return left;
            }
        }
    }

    fn stop(&self) {
        let mut state = self.inner.lock();
        state.stopped = true;
        let tasks: Vec<_> = state.running.values().flatten().cloned().collect();
        // What a task drops may end up here again.
        drop(state);
        tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one task.
struct Guard {
    inner: Arc<Inner>,
    number: u64,
}

impl Guard {
    fn new(inner: &Arc<Inner>) -> Self {
        let mut state = inner.lock();
        state.count += 1;
        let number = state.count;
        state.running.insert(number, None);
        Self { inner: Arc::clone(inner), number }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.inner.lock();
        let task = state.running.remove(&self.number);
        let left = state.running.len();
        if state.running.capacity() > ROOM.max(4 * left) {
            state.running.shrink_to(ROOM.max(2 * left));
        }
        drop(state);
        drop(task);
        self.inner.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn drain_ends_every_task_and_counts_none_left() {
        let tasks = Tasks::default();
        for _ in 0..10 {
            tasks.spawn(std::future::pending());
        }
        assert_eq!(tasks.running(), 10);
        assert_eq!(tasks.drain(Duration::from_secs(1)).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_started_after_the_drain_ends_at_once() {
        let tasks = Tasks::default();
        assert_eq!(tasks.drain(Duration::from_secs(1)).await, 0);
        tasks.spawn(std::future::pending());
        assert_eq!(tasks.drain(Duration::from_secs(1)).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_kept_of_tasks_that_ended() {
        let tasks = Tasks::default();
        for _ in 0..1000 {
            tasks.spawn(std::future::ready(()));
        }
        while tasks.running() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(tasks.inner.lock().running.capacity() <= 2 * ROOM);
    }

    #[tokio::test]
    async fn a_task_is_no_larger_than_its_work() {
        let work = || async {
            let kept = [0_u8; 1000];
            std::future::pending::<()>().await;
            std::hint::black_box(&kept);
        };
        let guard = Guard::new(&Tasks::default().inner);
        let size = size_of_val(&work().map(move |()| drop(guard)));
        assert!(size < size_of_val(&work()) + 64, "{size}");
    }
}
