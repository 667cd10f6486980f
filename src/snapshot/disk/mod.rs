//! Filesystems: which there are, in which order they may be frozen, freezing and thawing them.
//!
//! A filesystem that lies in a file of another one (a loop device) is frozen before it: its freeze writes, and a
//! write to a frozen filesystem waits for ever. They are thawed the other way round.

mod freeze;
mod mounts;
mod order;

pub use freeze::{Disk, Outcome, Refusal};
pub use mounts::{Device, Mount, block_mounts, network_mounts, root};
