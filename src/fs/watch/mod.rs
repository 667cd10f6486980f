//! Who is told when files change.
//!
//! # Theory of operation
//!
//! One inotify instance serves all watches; it and the thread that works on its events exist while a watch exists and
//! not longer. Nothing is polled and no timer runs.
//!
//! ```text
//! kernel ─ Feed ─ hub thread ─ Mailbox ─ one reader each
//!         bounded   (Hub)      bounded
//!                     └ Inbox: what others ask
//! ```
//!
//! The hub's thread owns all state, so nothing is locked while events are worked on and no subscriber can block
//! another: a full `mailbox` is the problem of its reader. The feed takes what the kernel has between any two events,
//! so that the kernel's own queue does not overflow while many are told.
//!
//! **Names.** The kernel's watch belongs to a directory, not to its name. The hub keeps, for each subscription, the
//! tree of watched directories: an event's name is found by walking up that tree, and a rename changes one link in
//! it.
//!
//! **New directories** are watched first and read then; what is found in them is reported as created. Entries that
//! changed since the watch was armed may have an event under way, so their next creation event is dropped if it is
//! about the same inode: nothing is missed and hardly anything is told twice.
//!
//! **Lost events.** When the kernel's queue overflows, the hub reads all watched directories again and
//! reports what changed since it was last known to be complete: see `rescan`. Removed files cannot be known then.
//!
//! **Barrier.** `ripple` tells when every event that the kernel had queued is worked off. A subscription starts
//! behind it, so it is not told what was before; reading a stored watcher waits for it, so the answer has every
//! change that was made before the question.

mod adopt;
mod error;
mod event;
mod feed;
mod forest;
mod hub;
mod inbox;
mod mailbox;
mod rescan;
mod ripple;
mod scan;
mod stored;
mod tell;
#[cfg(test)]
mod tests;
mod watches;

pub use error::WatchError;
pub use event::{Change, Event, Spec};
pub use watches::{Subscription, Watches};
