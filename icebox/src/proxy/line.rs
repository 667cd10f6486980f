//! One client's connection: what goes on on it, and how it must end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::socket::End;
use super::tunnel::Tunnel;

/// How long a request head may take, as hyper has it; it also bounds a connection that never says anything.
const HEAD: Duration = Duration::from_secs(30);
/// How long what a VM sent last may still take to a client: it is in the buffers of this machine.
pub(super) const GRACE: Duration = Duration::from_millis(250);
/// How much later than its connections the end of a VM may be known: they end with its process, which is then reaped.
const REAPED: Duration = Duration::from_millis(50);

/// What is known of a client's connection by those who serve it.
#[derive(Debug)]
pub(super) struct Line {
    seen: watch::Sender<Seen>,
    cut: AtomicBool,
    tunnel: Mutex<Option<Tunnel>>,
}

#[derive(Clone, Debug)]
struct Seen {
    at: At,
    /// Ends when the VM goes whose answer is on the line.
    gone: Option<CancellationToken>,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// A head has begun and must be complete in time.
    Head(Instant),
    /// A request is being answered.
    Busy,
    /// Between requests.
    Idle,
}

/// An answer that is on the line, until dropped.
#[derive(Debug)]
pub(super) struct Claim(Arc<Line>);

impl Line {
    pub(super) fn new() -> Arc<Self> {
        let seen = Seen { at: At::Head(Instant::now()), gone: None };
        Arc::new(Self { seen: watch::Sender::new(seen), cut: AtomicBool::new(false), tunnel: Mutex::default() })
    }

    /// A head is complete.
    pub(super) fn begin(&self) {
        self.seen.send_modify(|seen| seen.at = At::Busy);
    }

    /// Its answer needs nobody any more.
    pub(super) fn rest(&self) {
        self.seen.send_modify(|seen| seen.at = At::Idle);
    }

    /// An answer of a VM begins.
    pub(super) fn claim(self: &Arc<Self>, gone: CancellationToken) -> Claim {
        self.seen.send_modify(|seen| seen.gone = Some(gone));
        Claim(Arc::clone(self))
    }

    /// Makes the end of the connection a reset, whenever it comes.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// Leaves a tunnel to the task that owns the connection.
    pub(super) fn leave(&self, tunnel: Tunnel) {
        *self.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
    }

    /// Gives the tunnel that was left.
    pub(super) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until the VM is gone whose answer is on the line, and a client that reads would have all of it.
    pub(super) async fn parted(&self) {
        self.watch(async |seen| match seen.gone {
            Some(gone) => {
                gone.cancelled().await;
                sleep(GRACE).await;
            }
            None => std::future::pending().await,
        })
        .await;
    }

    /// Waits until a request head takes too long.
    pub(super) async fn overdue(&self) {
        self.watch(async |seen| match seen.at {
            At::Head(since) => sleep_until(since + HEAD).await,
            At::Busy | At::Idle => std::future::pending().await,
        })
        .await;
    }

    /// Waits for what follows from a state, from the beginning whenever the state changes.
    async fn watch(&self, then: impl AsyncFn(Seen)) {
        let mut states = self.seen.subscribe();
        loop {
            let seen = states.borrow_and_update().clone();
            tokio::select! {
                () = then(seen) => return,
                // The sender is ours.
                _ = states.changed() => {}
            }
        }
    }
}

impl End for Line {
    fn heard(&self) {
        if matches!(self.seen.borrow().at, At::Idle) {
            self.seen.send_modify(|seen| seen.at = At::Head(Instant::now()));
        }
    }

    fn broken(&self) {}

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.seen.send_modify(|seen| *seen = Seen { at: At::Idle, gone: None });
    }
}

/// Tells whether the VM is gone, a moment after a connection to it ended.
pub(super) async fn is_gone(gone: &CancellationToken) -> bool {
    tokio::time::timeout(REAPED, gone.cancelled()).await.is_ok()
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn a_head_must_be_complete_in_time_and_nothing_else() {
        let (line, began) = (Line::new(), Instant::now());
        line.overdue().await;
        assert_eq!(began.elapsed().as_secs(), HEAD.as_secs(), "a connection that says nothing");
        line.begin();
        line.heard();
        assert!(timeout(LONG, line.overdue()).await.is_err(), "a body may take its time");
        line.rest();
        assert!(timeout(LONG, line.overdue()).await.is_err(), "a connection may idle");
        line.heard();
        sleep(HEAD / 2).await;
        line.heard();
        assert!(timeout(HEAD / 2 - GRACE, line.overdue()).await.is_err());
        timeout(GRACE * 2, line.overdue()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_parts_with_the_vm_whose_answer_it_carries() {
        let (line, gone) = (Line::new(), CancellationToken::new());
        let claim = line.claim(gone.clone());
        assert!(timeout(LONG, line.parted()).await.is_err());
        gone.cancel();
        line.parted().await;
        drop(claim);
        assert!(timeout(LONG, line.parted()).await.is_err(), "its answer is whole");
    }
}
