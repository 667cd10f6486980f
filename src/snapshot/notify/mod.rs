//! How programs of the workload learn that they were paused: a file, and a socket.
//!
//! # Theory of operation
//! * The **file** `generation` is replaced as a whole at each resume, while programs still stand still: the first
//!   instruction they run already sees the new one. Whoever waits for it watches the folder (inotify, IN_MOVED_TO).
//! * The **socket** `lifecycle.sock` speaks lines of JSON. A listener is told what happens, and may ask to be waited
//!   for before a freeze.
//!
//! ```text
//! door     accepts, counts, refuses; then one task for each listener
//! listener its connection: lines in, lines out
//! crowd    who listens; the only shared state. Telling puts a line in each listener's queue and waits for nobody:
//!          a listener whose queue is full is sent away
//! ```
//! Any program of any user may connect, so nothing said here is secret, and nothing a listener says does more than
//! delay a freeze by the second that it may take anyway. Signals are not used: they kill programs that have no handler
//! for them. While nobody listens, nothing runs but the `accept` that waits.

mod crowd;
mod door;
mod generation;
mod line;
mod listener;
mod notifier;

pub use generation::Resumed;
pub use notifier::{Notifier, Settings};

#[cfg(test)]
mod tests;
