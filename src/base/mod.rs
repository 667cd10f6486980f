//! Pure vocabulary: what every room may say, with no I/O behind it.
//!
//! - [`kind`] what a caller can do about a failure, whatever room it came from
//! - [`tasks`] the only way to start a background task, and the one drain

pub mod kind;
pub mod tasks;

pub use kind::{Failure, Kind, sentence};
pub use tasks::Tasks;
