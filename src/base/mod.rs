//! Pure vocabulary: what every room may say, with no I/O behind it.
//!
//! - [`admission`] who may come in while the guest is not running
//! - [`kind`] what a caller can do about a failure, whatever room it came from
//! - [`phase`] whether the workload runs, and time that stands still while it does not
//! - [`ring`] output kept by absolute offset, bounded, with explicit gaps
//! - [`tasks`] the only way to start a background task, and the one drain

pub mod admission;
mod arrived;
pub mod kind;
pub mod phase;
pub mod ring;
pub mod tasks;

pub use admission::Admission;
pub use arrived::Arrived;
pub use kind::{Failure, Kind, sentence};
pub use phase::{Life, Lives, Phase};
pub use ring::{Chunk, Ring};
pub use tasks::Tasks;
