//! The guest as a whole: its variables, its load, its clock.
//!
//! - [`environment`] the variables that every program gets
//! - [`metrics`] processors, memory and disk in numbers
//! - [`marker`] the files by which programs know that they run in a sandbox
//! - [`clock`] bringing the wall clock back to the host's time

pub mod clock;
pub mod environment;
pub mod marker;
pub mod metrics;

pub use environment::Environment;
pub use metrics::{Metrics, Sampler};
