//! The cgroup tree of the programs that we run.
//!
//! ```text
//! <root>/ptys/<leaf>     programs on a terminal
//! <root>/user/<leaf>     other programs
//! <root>/lifecycle/<leaf> hooks of freeze and thaw: never frozen
//! <root>/socats          kept for hosts that look for it; nothing of ours runs there
//! ```
//!
//! The three parents have the names and properties that hosts expect (envd's), so a host that freezes `user` and
//! `ptys` freezes everything. Each program has a leaf of its own, which is what makes killing *all* of it one write
//! (`cgroup.kill`), whatever it forked and however often it changed sessions. Without cgroup v2 programs run all
//! the same and the kill walks `/proc` instead (`tree`).
//!
//! # Freezing
//! A [`Freezer`] tells cgroups to freeze (`cgroup.freeze`) and waits until the kernel says that they stand still
//! (`cgroup.events`). What is told is remembered first, with its file open, so that a thaw is a handful of writes that
//! need no path, no memory and no waiting, and that another process can do when we are dead.
//!
//! What the guest froze itself (a paused container) is neither told nor let go. It is found before anything of ours is
//! frozen, and once more just before each write. An agent that died leaves its freezes behind: they cannot be told
//! from the guest's but by its [`Record`], so its successor lets go the whole tree, except for what the record names.
//!
//! - `window` one freeze: what is ours, what is the guest's; `sweep` which cgroups a hierarchy freeze stops
//! - `settle` the wait; `straggler` who it waited for in vain; `audit` what a resume finds
//! - `cgroup` the files themselves; `birth` a program's start in its leaf, and the leaf's end

mod audit;
mod birth;
mod cgroup;
mod freeze;
mod leaf;
mod limits;
mod record;
mod settle;
mod straggler;
mod sweep;
#[cfg(test)]
mod tests;
mod tree;
mod window;

pub use audit::Audit;
pub use birth::start;
pub use freeze::{Counts, DEFAULT_MAX_CGROUPS, Freezer, MAX_CGROUPS, Mode, ThawOutcome};
pub use leaf::Leaf;
pub use record::Record;
pub use straggler::{Straggler, uninterruptible};
pub use tree::{Class, Settings, Workload};
