//! Asking when it is due, and telling programs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::client::Endpoint;
use super::pin::pin;
use super::reads::{Read, Reads};
use super::{Facts, MetadataError};
use crate::base::{Lives, Tasks, sentence};
use crate::host::{Environment, marker};
use crate::identity::Gate;

/// First pause between two questions that were not answered (envd's, which never waits longer).
const PAUSE: Duration = Duration::from_millis(50);
/// Longest one.
const PAUSE_MOST: Duration = Duration::from_secs(10);
/// Unanswered questions after which the way is cleared, once: less than half a second. A service that is only late costs
/// no rule, and programs that outlived an agent do not get long to keep the next one from learning of the token.
const UNANSWERED: u32 = 3;
/// How long a guest that was just started asks: hosts have the service up long before.
const AFTER_START: Duration = Duration::from_secs(300);
/// How long a guest that was just set up asks (envd's value).
const AFTER_INIT: Duration = Duration::from_secs(60);

/// Asks the metadata service; clones share questions and answers.
#[derive(Clone, Debug)]
pub struct Metadata {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    root: PathBuf,
    gate: Arc<Gate>,
    environment: Arc<Environment>,
    lives: Lives,
    tasks: Tasks,
    reads: Reads,
    /// Counts the polls: each ends the one before it.
    polls: watch::Sender<u64>,
    /// One at a time puts rules into the tables.
    pinning: tokio::sync::Mutex<()>,
    /// What programs were told last.
    known: Mutex<Facts>,
}

impl Metadata {
    /// Begins to ask. Programs are told through `environment` and through files below `root`; should nobody have closed
    /// `gate` before the first answer, and the answer tell of a token, it is closed for all others.
    #[must_use]
    pub fn start(
        endpoint: Endpoint,
        root: PathBuf,
        gate: Arc<Gate>,
        environment: Arc<Environment>,
        lives: Lives,
        tasks: Tasks,
    ) -> Self {
        let inner = Inner {
            endpoint,
            root,
            gate,
            environment,
            lives,
            tasks,
            reads: Reads::default(),
            polls: watch::Sender::default(),
            pinning: tokio::sync::Mutex::default(),
            known: Mutex::default(),
        };
        let metadata = Self { inner: Arc::new(inner) };
        metadata.poll(AFTER_START, |metadata, facts| {
            if let Some(hash) = &facts.token {
                metadata.inner.gate.expect(hash);
            }
        });
        metadata
    }

    /// Gives an answer that is at most a moment old. Cancelling leaves the question open for the next who asks.
    pub async fn read(&self) -> Read {
        self.read_from(None).await
    }

    /// Gives the answer to a question that was asked at `instant` or later.
    pub async fn read_since(&self, instant: Instant) -> Read {
        self.read_from(Some(instant)).await
    }

    /// Tells programs, if anything is new to them, and stops asking.
    pub fn learn(&self, facts: &Facts) {
        self.inner.polls.send_modify(|polls| *polls += 1);
        let mut known = self.inner.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, value, before) in
            [("E2B_SANDBOX_ID", &facts.sandbox, &known.sandbox), ("E2B_TEMPLATE_ID", &facts.template, &known.template)]
        {
            if value.is_empty() || value == before {
                continue;
            }
            self.inner.environment.set_internal(name, value);
            let (root, value) = (self.inner.root.clone(), value.clone());
            // Should the filesystem of the file be frozen, a thread of its own waits for the thaw.
            self.inner.tasks.spawn(async move {
                let _ = tokio::task::spawn_blocking(move || marker::leave_name(&root, name, &value)).await;
            });
        }
        known.clone_from(facts);
    }

    /// Asks again, since the guest may have become another: at most a minute.
    pub fn refresh(&self) {
        self.poll(AFTER_INIT, |_, _| ());
    }

    async fn read_from(&self, since: Option<Instant>) -> Read {
        let this = self.clone();
        let life = self.inner.lives.now();
        self.inner.reads.get(life, since, &self.inner.tasks, || async move { this.insist().await }).await
    }

    /// Asks, clears the way if there is no answer, and asks once more.
    async fn insist(&self) -> Result<Facts, MetadataError> {
        let inner = &self.inner;
        let error = match inner.endpoint.facts().await {
            Ok(facts) => return Ok(facts),
            Err(error) => error,
        };
        tracing::info!(error = sentence(&error), "the metadata service did not answer, it is asked once more");
        self.clear_way().await;
        inner.endpoint.facts().await
    }

    /// Puts rules before those of programs. Cancelling it can leave none there.
    async fn clear_way(&self) {
        let _pinning = self.inner.pinning.lock().await;
        pin(&self.inner.root, self.inner.endpoint.0, &self.inner.tasks).await;
    }

    /// Asks in the background until there is an answer, which programs are told.
    fn poll(&self, limit: Duration, then: fn(&Self, &Facts)) {
        self.inner.polls.send_modify(|polls| *polls += 1);
        let mut other = self.inner.polls.subscribe();
        let this = self.clone();
        self.inner.tasks.spawn(async move {
            let answer = tokio::select! {
                _ = other.changed() => return,
                answer = timeout(limit, this.answer()) => answer,
            };
            match answer {
                Ok(facts) => {
                    this.learn(&facts);
                    then(&this, &facts);
                }
                Err(_) => tracing::info!(?limit, "the metadata service has not answered, and is not asked any more"),
            }
        });
    }

    /// Asks until there is an answer; not while programs stand still, when each wakeup costs.
    async fn answer(&self) -> Facts {
        let mut lives = self.inner.lives.clone();
        let mut pause = PAUSE;
        let mut unanswered = 0;
        loop {
            lives.until(|life| !life.phase.is_still()).await;
            match self.inner.endpoint.facts().await {
                Ok(facts) => return facts,
                Err(error) => tracing::debug!(error = sentence(&error), "the metadata service did not answer"),
            }
            unanswered += 1;
            if unanswered == UNANSWERED {
                // In a task of its own: whoever ends this poll may not end that half done.
                let this = self.clone();
                self.inner.tasks.spawn(async move { this.clear_way().await });
            }
            lives.sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::metadata::pin::tests::guest;
    use crate::sys::place::tests::Folder;

    #[tokio::test]
    async fn the_way_is_cleared_for_an_agent_that_was_just_started() {
        let guest = guest("metadata-way", "echo $5 >> \"$0.log\"");
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (root, tasks) = (guest.0.clone(), Tasks::default());
        let lives = Lives::always();
        let _metadata = Metadata::start(Endpoint(nobody), root, Arc::default(), Arc::default(), lives, tasks.clone());
        let log = guest.0.join("sbin/iptables.log");
        let cleared = async {
            while std::fs::read_to_string(&log).unwrap_or_default() != "-D\n-I\n-D\n-I\n" {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), cleared).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_is_not_there_is_given_up() {
        let folder = Folder::new("metadata");
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let tasks = Tasks::default();
        let began = Instant::now();
        let (gate, environment) = (Arc::default(), Arc::default());
        let root = folder.0.clone();
        let metadata = Metadata::start(Endpoint(nobody), root, gate, environment, Lives::always(), tasks.clone());
        let ended = |what: &'static str, limit: Duration| {
            let tasks = tasks.clone();
            async move {
                while tasks.running() > 0 {
                    assert!(began.elapsed() <= limit, "{what}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        };
        ended("after the start", AFTER_START + Duration::from_secs(1)).await;
        assert!(began.elapsed() >= AFTER_START);
        metadata.refresh();
        metadata.refresh();
        ended("after /init", AFTER_START + AFTER_INIT + Duration::from_secs(3)).await;
    }
}
