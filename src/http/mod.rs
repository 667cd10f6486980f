//! The plain HTTP face: files, lifecycle, facts about the machine.
//!
//! [`status`] is the only table from failures to HTTP statuses.

pub mod status;
