//! When a call ends by itself: in running time, which stands still while the guest is paused.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::base::Lives;

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Keeps the rest of a call's time; clones share it, and are polled by one task.
#[derive(Clone)]
pub(super) struct Deadline {
    /// `None` once it has passed.
    rest: Arc<Mutex<Option<Sleep>>>,
}

impl Deadline {
    /// Begins to count now.
    pub(super) fn new(lives: &Lives, timeout: Duration) -> Self {
        let mut lives = lives.clone();
        Self { rest: Arc::new(Mutex::new(Some(Box::pin(async move { lives.sleep(timeout).await })))) }
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sleep) = rest.as_mut() {
            std::task::ready!(sleep.as_mut().poll(cx));
        }
        *rest = None;
        Poll::Ready(())
    }

    /// Waits for it. Cancel-safe.
    pub(super) async fn passed(&self) {
        poll_fn(|cx| self.poll(cx)).await;
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadline").finish_non_exhaustive()
    }
}
