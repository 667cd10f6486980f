//! Whether anybody needs this guest just now, and since when nobody did: so that a host can pause idle guests without
//! asking again and again.
//!
//! # Theory of operation
//! *Stamps*: whoever sees something happen (a request, output, a key, a file) leaves the time in a [`Pulse`]: one
//! store to memory, no lock, no wakeup. What is open now (streams, uploads) is counted there too.
//!
//! *Looks*: traffic of the guest's own servers and its processor time leave no stamps. The kernel keeps them
//! (`ports`, `load`), and they are looked at when somebody asks, never else.
//!
//! *Rules*: [`judge`](mod@judge) makes a verdict of [`Facts`] and a [`Policy`], and says when it could be another one.
//! It is a pure function; what a policy passes over is the host's choice.
//!
//! *Waiting*: [`Activity::wait`] computes from the stamps when the guest can be idle at the earliest, sleeps until then,
//! and looks again. What happens meanwhile does not wake it: it is found at the look, which moves the next one. So it
//! wakes once in each window on average, and never more than twice. While something is open whose end will be told (a
//! hold, a stream, a program), there is no timer at all.
//!
//! *Holds*: programs and hosts can keep a guest awake for a bounded time ([`Holds`]).
//!
//! Ages count from a resume at the earliest, and time in which programs stood still does not count: a guest that was
//! woken up is not idle for the length of its pause.

mod error;
mod facts;
mod holds;
pub mod judge;
mod load;
mod policy;
mod ports;
mod pulse;
mod running;
mod service;

pub use error::ActivityError;
pub use facts::{Cores, Facts, Programs, Seen, State};
pub use holds::{Hold, Holder, Holds, LONGEST_HOLD, MOST_HOLDS};
pub use judge::{Judgement, Reason, Verdict};
pub use load::Load;
pub use policy::{Ignored, LONGEST_WINDOW, Policy, SHORTEST_WINDOW, WINDOW};
pub use ports::{Port, Ports};
pub use pulse::{Happening, Pulse, Turn};
pub use service::{Activity, Ask, Sources, Waited};
