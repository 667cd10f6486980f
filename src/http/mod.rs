//! The plain HTTP face: files, lifecycle, facts about the machine.
//!
//! - [`files`] downloads, uploads, composition
//! - [`facts`] `/health`, `/metrics`, `/envs`
//! - [`lifecycle`] `/init`
//!
//! [`status`] is the only table from failures to HTTP statuses.

pub mod facts;
pub mod files;
pub mod lifecycle;
pub mod status;
