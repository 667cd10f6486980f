//! Which volume belongs to which life, and whether it is there.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::attach::attach;
use super::{MountError, Volume};
use crate::base::Tasks;

/// How long a volume may take (envd's value); hosts give up on `/init` at the same time.
const LIMIT: Duration = Duration::from_secs(10);

type Outcome = Result<(), Arc<MountError>>;
type Attach = Arc<dyn Fn(Volume) -> Pin<Box<dyn Future<Output = Result<(), MountError>> + Send>> + Send + Sync>;

/// Mounts volumes, all at the same time; clones share what is mounted.
#[derive(Clone)]
pub struct Mounts {
    ledger: Arc<Mutex<HashMap<PathBuf, Entry>>>,
    attach: Attach,
    tasks: Tasks,
}

struct Entry {
    /// The host's name for this life of the sandbox.
    lifecycle: String,
    outcome: watch::Receiver<Option<Outcome>>,
}

impl Mounts {
    /// Begins with nothing mounted.
    #[must_use]
    pub fn new(tasks: Tasks) -> Self {
        let own = tasks.clone();
        Self::by(Arc::new(move |volume| Box::pin(attach(volume, own.clone()))), tasks)
    }

    fn by(attach: Attach, tasks: Tasks) -> Self {
        Self { ledger: Arc::default(), attach, tasks }
    }

    /// Mounts what is not there yet, or there for another life, and waits until all is. Each begins at the call, not
    /// when the result is awaited, and goes on when that is dropped: the next call for the same life waits for it.
    ///
    /// # Errors
    /// That of the first volume that failed, ten seconds after it was begun at the latest; the others go on. What
    /// failed is begun again by the next call.
    pub fn provide(&self, lifecycle: &str, volumes: Vec<Volume>) -> impl Future<Output = Outcome> + Send + 'static {
        let begun: Vec<_> = volumes.into_iter().map(|volume| self.begin(lifecycle, volume)).collect();
        async move {
            for mut outcome in begun {
                let ended = outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
                ended.unwrap_or_else(|| Err(Arc::new(MountError::ShuttingDown)))?;
            }
            Ok(())
        }
    }

    fn begin(&self, lifecycle: &str, volume: Volume) -> watch::Receiver<Option<Outcome>> {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let before = ledger.get(&volume.path);
        let same = before.filter(|entry| entry.lifecycle == lifecycle);
        if let Some(entry) = same.filter(|entry| !matches!(*entry.outcome.borrow(), Some(Err(_)))) {
            return entry.outcome.clone();
        }
        let before = before.map(|entry| entry.outcome.clone());
        let (tell, outcome) = watch::channel(None);
        let (path, attach) = (volume.path.clone(), Arc::clone(&self.attach));
        ledger.insert(path.clone(), Entry { lifecycle: lifecycle.to_owned(), outcome: outcome.clone() });
        self.tasks.spawn(async move {
            if let Some(mut before) = before {
                // One at a time at each place. Its end comes within the limit.
                let _ = before.wait_for(Option::is_some).await;
            }
            let attached = timeout(LIMIT, attach(volume)).await;
            let attached = attached.unwrap_or(Err(MountError::Late { path, limit: LIMIT }));
            tell.send_replace(Some(attached.map_err(Arc::new)));
        });
        outcome
    }
}

impl fmt::Debug for Mounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mounts").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mounts in a test: slow ones take 130 ms, bad ones fail the first time, dead ones never end.
    fn fake() -> (Mounts, Arc<Mutex<Vec<String>>>) {
        let done: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&done);
        let attach: Attach = Arc::new(move |volume| {
            let log = Arc::clone(&log);
            Box::pin(async move {
                let first = !log.lock().unwrap().contains(&volume.target);
                log.lock().unwrap().push(volume.target.clone());
                match volume.target.as_str() {
                    "slow" => tokio::time::sleep(Duration::from_millis(130)).await,
                    "bad" if first => return Err(MountError::Target(volume.target)),
                    "dead" => std::future::pending().await,
                    _ => {}
                }
                Ok(())
            })
        });
        (Mounts::by(attach, Tasks::default()), done)
    }

    fn volumes(all: &[(&str, &str)]) -> Vec<Volume> {
        let volume = |(target, path): &(&str, &str)| Volume { target: (*target).to_owned(), path: path.into() };
        all.iter().map(volume).collect()
    }

    #[tokio::test]
    async fn a_volume_is_mounted_again_only_for_another_life() {
        for (before, now, count) in [("", "", 1), ("abc", "", 2), ("abc", "abc", 1), ("abc", "xyz", 2)] {
            let (mounts, done) = fake();
            mounts.provide(before, volumes(&[("a", "/a")])).await.unwrap();
            mounts.provide(now, volumes(&[("a", "/a")])).await.unwrap();
            assert_eq!(done.lock().unwrap().len(), count, "{before:?} {now:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_mount_that_takes_longer_than_each_caller_waits_is_found_by_the_last() {
        let (mounts, done) = fake();
        let wait = || {
            let volumes = volumes(&[("slow", "/a"), ("slow", "/b")]);
            tokio::time::timeout(Duration::from_millis(50), mounts.provide("x", volumes))
        };
        for _ in 0..2 {
            assert!(wait().await.is_err());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(matches!(wait().await, Ok(Ok(()))));
        assert_eq!(done.lock().unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_begun_again_and_what_hangs_ends() {
        let (mounts, done) = fake();
        let all = || volumes(&[("good", "/a"), ("bad", "/b")]);
        assert!(mounts.provide("x", all()).await.is_err());
        mounts.provide("x", all()).await.unwrap();
        assert_eq!(*done.lock().unwrap(), ["good", "bad", "bad"]);
        let began = tokio::time::Instant::now();
        let error = mounts.provide("x", volumes(&[("dead", "/c")])).await.unwrap_err();
        assert!(matches!(*error, MountError::Late { .. }), "{error}");
        assert_eq!(began.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_life_waits_until_the_mount_of_the_last_one_has_ended() {
        let (mounts, _done) = fake();
        let first = mounts.provide("x", volumes(&[("slow", "/a")]));
        let began = tokio::time::Instant::now();
        mounts.provide("y", volumes(&[("slow", "/a")])).await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_millis(260));
        first.await.unwrap();
    }
}
