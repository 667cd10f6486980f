//! The guest as a whole: its variables, its load, its clock, and what its host brings.
//!
//! - [`environment`] the variables that every program gets
//! - [`metrics`] processors, memory and disk in numbers
//! - [`marker`] the files by which programs know that they run in a sandbox, and in which
//! - [`clock`] bringing the wall clock back to the host's time
//! - [`metadata`] what the host tells about the sandbox, and whether it may set a token
//! - [`ca`] certificates to trust, [`services`] the host's own services by name
//! - [`mounts`] network volumes

pub mod ca;
mod child;
pub mod clock;
pub mod environment;
mod hosts;
pub mod marker;
mod memory;
pub mod metadata;
pub mod metrics;
pub mod mounts;
pub mod services;

use std::path::PathBuf;

pub use ca::Authorities;
pub use environment::Environment;
pub use memory::Memory;
pub use metadata::Metadata;
pub use metrics::{Metrics, Sampler};
pub use mounts::Mounts;
pub use services::Services;

/// Says where the guest's files are, and who tells about it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Before `etc/hosts`, `etc/ssl`, `run/e2b` and the like: `/` but in tests.
    pub root: PathBuf,
    /// The metadata service; `None` where there is none, and nobody is asked.
    pub metadata: Option<metadata::Endpoint>,
}
