//! Background tasks: started in one place, counted, ended in one drain.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// Starts and counts background tasks; clones share the count.
#[derive(Clone, Debug)]
pub struct Tasks {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    running: AtomicUsize,
    ended: Notify,
    stop: watch::Sender<bool>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            inner: Arc::new(Inner {
                running: AtomicUsize::new(0),
                ended: Notify::new(),
                stop: watch::Sender::new(false),
            }),
        }
    }
}

impl Tasks {
    /// Starts `work`; it is dropped at its next await once [`Tasks::drain`] is called.
    pub fn spawn<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.inner.running.fetch_add(1, Ordering::AcqRel);
        let guard = Guard(Arc::clone(&self.inner));
        let mut stop = self.inner.stop.subscribe();
        tokio::spawn(async move {
            let _guard = guard;
            tokio::select! {
                () = work => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
    }

    /// Counts the tasks that have not ended.
    #[must_use]
    pub fn running(&self) -> usize {
        self.inner.running.load(Ordering::Acquire)
    }

    /// Tells every task to stop and waits for the last, at most `limit`; says how many were left.
    pub async fn drain(&self, limit: Duration) -> usize {
        self.inner.stop.send_replace(true);
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let ended = self.inner.ended.notified();
            let left = self.running();
            if left == 0 || tokio::time::timeout_at(deadline, ended).await.is_err() {
                return left;
            }
        }
    }
}

struct Guard(Arc<Inner>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.notify_waiters();
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
}
