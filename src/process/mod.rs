//! Running programs: started, fed, followed, signalled, and never lost sight of before they end.
//!
//! # Theory of operation
//! [`Table::start`] starts the program ([`crate::sys::spawn`]) and hands it to one task of its own (`task`). That
//! task is the only one that waits for the program; everybody else holds a [`Handle`].
//!
//! ```text
//! stdout ─ reader ─┐                  ┌─ Subscription (cursor) ─ client
//! stderr ─ reader ─┼─ Log (one ring) ─┼─ Subscription (cursor) ─ client
//! (pty)  ─ reader ─┘                  └─ …
//! pidfd  ─ task ──── finish(exit) ────▲
//! ```
//!
//! *The end comes from the pidfd, never from the end of a pipe*: a background child that holds stdout delays
//! nothing. When the program has ended, each reader first takes what was in its pipe at that moment, then waits for
//! a short quiet, and only then the end is written behind the last byte ([`output::Log::finish`]). Later output of
//! descendants still goes into the ring, so that they are never killed by a closed pipe.
//!
//! *A reader of output never stops the program beyond the policy in [`output::Settings`]*: without readers the ring
//! forgets its oldest bytes; with readers the program waits for the slowest one, for a bounded time, after which
//! that one is cut off and told where it stood.
//!
//! *A pause takes nothing away.* When the guest is about to be frozen each reader gets what the others have got and then
//! [`Event::Parted`]; its place is held (`readers`) until it comes back or, once the guest runs and the program waits
//! for it, its time is up. Time limits of programs count running time.

mod deadline;
mod error;
mod exit;
mod files;
mod handle;
mod input;
mod launch;
pub mod output;
mod reader;
mod readers;
mod spec;
mod table;
mod task;
#[cfg(test)]
mod tests;

pub use error::ProcessError;
pub use exit::Exit;
pub use handle::{Handle, Selector};
pub use output::{Channel, Event, Subscription};
pub use spec::{Command, Size, SpawnSpec, Stdio};
pub use table::{Attached, Settings, Started, Table};
