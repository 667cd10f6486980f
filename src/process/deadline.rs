//! The time that a program may take.

use std::pin::Pin;
use std::time::Duration;

use crate::base::Lives;

/// Comes when a program's time is up, or never. It counts running time only: nobody may lose a command to a pause.
pub(super) struct Deadline(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Deadline {
    pub(super) fn new(mut lives: Lives, timeout: Option<Duration>) -> Self {
        match timeout {
            Some(timeout) => Self(Box::pin(async move { lives.sleep(timeout).await })),
            None => Self(Box::pin(std::future::pending())),
        }
    }

    /// Does `work` until it is done, or the time is up, then or before: that is `None`.
    pub(super) async fn by<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = &mut self.0 => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;
    use tokio::time::Instant;

    use super::*;
    use crate::base::{Life, Phase};

    #[tokio::test(start_paused = true)]
    async fn a_time_limit_counts_running_time_only() {
        let life = watch::Sender::new(Life::default());
        let mut deadline = Deadline::new(Lives::new(life.subscribe()), Some(Duration::from_secs(10)));
        let begin = Instant::now();
        // What it has used is not forgotten between two waits.
        assert!(deadline.by(tokio::time::sleep(Duration::from_secs(4))).await.is_some());
        life.send_modify(|life| life.phase = Phase::Frozen);
        assert!(deadline.by(tokio::time::sleep(Duration::from_secs(1000))).await.is_some());
        life.send_modify(|life| life.phase = Phase::Running);
        assert!(deadline.by(std::future::pending::<()>()).await.is_none());
        assert_eq!(begin.elapsed().as_secs(), 1010);
    }
}
