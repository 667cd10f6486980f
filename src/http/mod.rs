//! The plain HTTP face: files, lifecycle, facts about the machine.
//!
//! - [`files`] downloads, uploads, composition
//!
//! [`status`] is the only table from failures to HTTP statuses.

pub mod files;
pub mod status;
