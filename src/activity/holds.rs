//! Who keeps the guest awake, and until when.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ActivityError;
use super::pulse::{Happening, Pulse};
use super::running::Running;
use crate::base::Life;
use crate::sys::clock;

#[cfg(test)]
mod tests;

/// Longest time that a hold can last without being renewed, a day.
pub const LONGEST_HOLD: Duration = Duration::from_secs(86_400);
/// Holds of all holders together.
pub const MOST_HOLDS: usize = 256;
/// Holds of programs of one user, so that none shuts out the others; hosts have no bound but that of all.
const MOST_OF_USER: usize = 32;
/// Bytes of a reason.
const REASON_MOST: usize = 200;

/// Says who holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Somebody with the right to use the agent.
    Client,
    /// A program of the guest.
    Program {
        /// Its user.
        uid: u32,
        /// Its process, when that is known.
        pid: Option<i32>,
        /// Its connection: holds end with it.
        connection: u64,
    },
}

/// Tells of one hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its number, never used again.
    pub id: u64,
    /// What for.
    pub reason: String,
    /// Running time that is left.
    pub left: Duration,
    /// Whose it is.
    pub holder: Holder,
}

/// Keeps the holds, in memory that is bounded; clones share them.
#[derive(Clone, Debug)]
pub struct Holds {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pulse: Pulse,
    running: Running,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    held: BTreeMap<u64, Held>,
    last: u64,
}

#[derive(Debug)]
struct Held {
    reason: String,
    holder: Holder,
    /// In running time.
    until: Duration,
}

impl Default for Holds {
    fn default() -> Self {
        Self::new(Pulse::default())
    }
}

impl Holds {
    /// Keeps none yet; what ends is told to `pulse`.
    #[must_use]
    pub fn new(pulse: Pulse) -> Self {
        let running = Running::new(clock::monotonic());
        Self { inner: Arc::new(Inner { pulse, running, table: Mutex::default() }) }
    }

    /// Gives the stamps that go with them.
    #[must_use]
    pub fn pulse(&self) -> &Pulse {
        &self.inner.pulse
    }

    /// Begins a hold that lasts for `ttl` of running time, and gives its number.
    ///
    /// # Errors
    /// [`ActivityError::Ttl`], [`ActivityError::Reason`], [`ActivityError::Crowded`].
    pub fn hold(&self, holder: Holder, reason: &str, ttl: Duration) -> Result<u64, ActivityError> {
        let until = self.until(ttl)?;
        if reason.len() > REASON_MOST {
            return Err(ActivityError::Reason { most: REASON_MOST });
        }
        let mut table = self.table();
        let most = match holder {
            Holder::Client => MOST_HOLDS,
            Holder::Program { uid, .. } => {
                let of_user = |held: &&Held| matches!(held.holder, Holder::Program { uid: own, .. } if own == uid);
                let full = table.held.values().filter(of_user).count() >= MOST_OF_USER;
                if full { MOST_OF_USER } else { MOST_HOLDS }
            }
        };
        if most == MOST_OF_USER || table.held.len() >= MOST_HOLDS {
            return Err(ActivityError::Crowded { most });
        }
        table.last += 1;
        let id = table.last;
        let reason = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        table.held.insert(id, Held { reason, holder, until });
        Ok(id)
    }

    /// Lets a hold last for `ttl` from now.
    ///
    /// # Errors
    /// [`ActivityError::Ttl`], [`ActivityError::NoHold`] when it has run out, or is not this program's; clients have a say over all.
    pub fn renew(&self, holder: Holder, id: u64, ttl: Duration) -> Result<(), ActivityError> {
        let until = self.until(ttl)?;
        let mut table = self.table();
        table.of(holder, id)?.until = until;
        Ok(())
    }

    /// Ends a hold: what it was for counts as activity until now.
    ///
    /// # Errors
    /// [`ActivityError::NoHold`] when it has run out, or is not this program's; clients have a say over all.
    pub fn release(&self, holder: Holder, id: u64) -> Result<(), ActivityError> {
        let mut table = self.table();
        table.of(holder, id)?;
        table.held.remove(&id);
        drop(table);
        self.told();
        Ok(())
    }

    /// Ends the holds of a connection that is gone.
    pub fn release_all(&self, connection: u64) {
        let mut table = self.table();
        let before = table.held.len();
        let is_of = |held: &Held| matches!(held.holder, Holder::Program { connection: own, .. } if own == connection);
        table.held.retain(|_, held| !is_of(held));
        let changed = before != table.held.len();
        drop(table);
        if changed {
            self.told();
        }
    }

    /// Lists what is held, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Hold> {
        let table = self.table();
        let now = self.now();
        let hold = |(&id, held): (&u64, &Held)| Hold {
            id,
            reason: held.reason.clone(),
            left: held.until.saturating_sub(now),
            holder: held.holder,
        };
        table.held.iter().map(hold).collect()
    }

    pub(super) fn follow(&self, life: Life) {
        self.inner.running.follow(life, clock::monotonic());
    }

    pub(super) fn running(&self) -> &Running {
        &self.inner.running
    }

    fn until(&self, ttl: Duration) -> Result<Duration, ActivityError> {
        if ttl.is_zero() || ttl > LONGEST_HOLD {
            return Err(ActivityError::Ttl { most: LONGEST_HOLD });
        }
        Ok(self.now() + ttl)
    }

    fn now(&self) -> Duration {
        self.inner.running.ran(clock::monotonic())
    }

    fn told(&self) {
        self.inner.pulse.mark(Happening::Touch);
        self.inner.pulse.ended();
    }

    /// Gives the table without what has run out. That counted as activity until then.
    fn table(&self) -> MutexGuard<'_, Table> {
        let mut table = self.inner.table.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        table.held.retain(|_, held| {
            let left = held.until > now;
            if !left {
                self.inner.pulse.mark_ago(Happening::Touch, now.saturating_sub(held.until));
            }
            left
        });
        table
    }
}

impl Table {
    fn of(&mut self, holder: Holder, id: u64) -> Result<&mut Held, ActivityError> {
        let may = |held: &&mut Held| holder == Holder::Client || held.holder == holder;
        self.held.get_mut(&id).filter(may).ok_or(ActivityError::NoHold(id))
    }
}
