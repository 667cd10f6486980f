//! The door to all watches.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use super::feed::Feed;
use super::forest::Forest;
use super::hub::Hub;
use super::inbox::{Command, Inbox, Subscribe};
use super::mailbox::{Mailbox, Overrun};
use super::ripple::Ripple;
use super::stored::Stored;
use super::{Event, Spec, WatchError, scan};
use crate::fs::{Files, FsError};
use crate::identity::User;

/// How long the barrier is waited for. Its order is a courtesy: when the hub is this far behind, or the kernel tells
/// nothing about memory files, the answer is what is known by now.
const SETTLE: Duration = Duration::from_secs(1);

/// Watches directories; clones share everything.
#[derive(Clone, Debug)]
pub struct Watches {
    files: Files,
    engine: Arc<Engine>,
    stored: Arc<Stored>,
}

/// Receives the events of one watch; dropping it ends the watch.
#[derive(Debug)]
pub struct Subscription {
    id: u64,
    mailbox: Arc<Mailbox>,
    inbox: Arc<Inbox>,
    engine: Arc<Engine>,
}

/// Runs the hub while anybody watches.
#[derive(Debug, Default)]
struct Engine {
    running: Mutex<Option<Running>>,
    last: AtomicU64,
}

#[derive(Debug)]
struct Running {
    inbox: Arc<Inbox>,
    thread: JoinHandle<()>,
    live: usize,
}

impl Watches {
    /// Makes the door; nothing runs before the first watch.
    #[must_use]
    pub fn new(files: Files) -> Self {
        Self { files, engine: Arc::default(), stored: Arc::default() }
    }

    /// Watches a directory for a reader that keeps up; returns when everything is armed.
    ///
    /// A reader that lets 65,536 events wait gets those, then [`WatchError::Overrun`], then the end.
    ///
    /// # Errors
    /// [`FsError::Missing`], [`FsError::NotDirectory`], [`WatchError::Network`], [`WatchError::Limit`], or what the
    /// system said.
    pub async fn open(&self, user: &User, spec: Spec) -> Result<Subscription, WatchError> {
        self.subscribe(user, spec, Overrun::End).await
    }

    /// Watches a directory for a reader that asks now and then; gives the id to ask with.
    ///
    /// # Errors
    /// As [`Self::open`], and [`WatchError::TooMany`].
    pub async fn create(&self, user: &User, spec: Spec) -> Result<String, WatchError> {
        self.stored.check_room()?;
        let subscription = self.subscribe(user, spec, Overrun::Forget).await?;
        self.stored.put(subscription)
    }

    /// Takes what a stored watcher has, which is every change that was made before this was called.
    ///
    /// # Errors
    /// [`WatchError::Unknown`]; once after events were lost [`WatchError::Overrun`]; what ended the watch.
    pub async fn events(&self, id: &str) -> Result<Vec<Event>, WatchError> {
        let subscription = self.stored.get(id)?;
        settle(&subscription.inbox).await;
        subscription.mailbox.drain()
    }

    /// Ends a stored watcher.
    ///
    /// # Errors
    /// [`WatchError::Unknown`].
    pub fn remove(&self, id: &str) -> Result<(), WatchError> {
        self.stored.take(id).map(drop)
    }

    async fn subscribe(&self, user: &User, spec: Spec, overrun: Overrun) -> Result<Subscription, WatchError> {
        let asked = spec.clone();
        self.files.run(user, move || check(&asked)).await??;
        let subscription = Engine::enter(&self.engine, &self.files, overrun)?;
        settle(&subscription.inbox).await;
        let (reply, armed) = oneshot::channel();
        let mailbox = Arc::clone(&subscription.mailbox);
        let subscribe = Subscribe { id: subscription.id, spec, user: user.clone(), mailbox, reply };
        subscription.inbox.command(Command::Subscribe(Box::new(subscribe)));
        armed.await.map_err(|_| WatchError::Stopped)??;
        Ok(subscription)
    }

    /// Says whether the hub's thread exists.
    #[cfg(test)]
    pub(super) fn running(&self) -> bool {
        self.engine.running.lock().unwrap().is_some()
    }
}

impl Subscription {
    /// Waits for the next event; after an error there is nothing. Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<Result<Event, WatchError>> {
        self.mailbox.next().await
    }

    /// Loses all events of the kernel from here on, or hears again.
    #[cfg(test)]
    pub(super) fn deafen(&self, deaf: bool) {
        self.inbox.deafen(deaf);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.engine.leave(self.id, &self.inbox);
    }
}

impl Engine {
    /// Counts one more watch, and starts the hub if it is the first.
    fn enter(engine: &Arc<Self>, files: &Files, overrun: Overrun) -> Result<Subscription, WatchError> {
        let mut running = engine.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut current = match running.take() {
            Some(current) if !current.thread.is_finished() => current,
            _ => start(files)?,
        };
        current.live += 1;
        let inbox = Arc::clone(&current.inbox);
        *running = Some(current);
        drop(running);
        let id = engine.last.fetch_add(1, Ordering::Relaxed);
        Ok(Subscription { id, mailbox: Arc::new(Mailbox::new(overrun)), inbox, engine: Arc::clone(engine) })
    }

    /// Counts one less, and stops the hub if it was the last.
    fn leave(&self, id: u64, inbox: &Arc<Inbox>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // Another hub may run by now, if this watch's ended by a fault.
        let Some(current) = running.as_mut().filter(|current| Arc::ptr_eq(&current.inbox, inbox)) else {
            return;
        };
        current.live -= 1;
        if current.live == 0 {
            inbox.command(Command::Stop);
            *running = None;
        } else {
            inbox.command(Command::Unsubscribe(id));
        }
    }
}

fn start(files: &Files) -> Result<Running, WatchError> {
    let failed = |error| WatchError::System("start watching", error);
    let inbox = Arc::new(Inbox::new().map_err(failed)?);
    let mut feed = Feed::start().map_err(failed)?;
    let ripple = Ripple::new(&mut feed).map_err(failed)?;
    let hub = Hub::new(files.clone(), Arc::clone(&inbox), Forest::new(feed), ripple);
    let thread = thread::Builder::new().name("watch-hub".to_owned()).spawn(|| hub.run());
    Ok(Running { inbox, thread: thread.map_err(failed)?, live: 0 })
}

/// Refuses what cannot be watched, off the hub's thread because a dead network mount may block.
fn check(spec: &Spec) -> Result<(), WatchError> {
    let path = spec.path.as_path();
    let found = std::fs::metadata(path).map_err(FsError::io("watch", path))?;
    if !found.is_dir() {
        return Err(FsError::NotDirectory(path.to_owned()).into());
    }
    let (dir, _) = scan::open(path, true).map_err(FsError::io("watch", path))?;
    let network = scan::network(dir.as_fd()).map_err(FsError::io("watch", path))?;
    if network && !spec.allow_network_mounts {
        return Err(WatchError::Network(path.to_owned()));
    }
    Ok(())
}

async fn settle(inbox: &Inbox) {
    let (waiter, settled) = oneshot::channel();
    inbox.command(Command::Settle(waiter));
    let _ = tokio::time::timeout(SETTLE, settled).await;
}
