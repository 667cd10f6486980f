//! Freeze before a snapshot, repair and thaw after a resume.
//!
//! # Theory of operation
//! The machine is copied between two instructions, and started again on another day, once or many times. Whatever
//! runs at that moment goes on with the randomness, the clock and the connections of a past life. So nothing of the
//! workload runs then: programs are stopped first, the guest is repaired while they stand still, and they go on last.
//!
//! One task (the driver) does one thing at a time; everybody else holds a [`Lifecycle`]. The rules are a pure value
//! (`state`), what was done is one [`Report`].
//!
//! *Nobody is left frozen.* What is to be undone is known in three places before it is done: to the driver, which
//! undoes it on a failure, a cancel or when its lease has run out; to a second process that outlives the agent
//! ([`crate::sys::guard`]); and to a file that the agent's successor reads (`ledger`).
//!
//! - [`hooks`] programs and servers that are asked before a freeze and told after it
//! - [`notify`](mod@notify) what programs of the workload can read and listen to
//! - [`disk`] filesystems, [`memory`] what a snapshot would hold
//! - [`resume`] the repairs, and noticing that one is due

pub mod disk;
mod driver;
mod error;
mod freezing;
mod guard;
pub mod hooks;
mod ledger;
mod lifecycle;
pub mod memory;
pub mod notify;
mod options;
mod report;
pub mod resume;
mod state;
mod thawing;

pub use driver::{Ended, Part, Surroundings, start};
pub use error::SnapshotError;
pub use lifecycle::{Facts, Lifecycle, Plan};
pub use options::{DEADLINE, Freeze, HOOKS, LEASE, Settings, Thaw};
pub use report::{Crash, Report, Step};
