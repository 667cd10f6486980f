//! The cgroup tree of the programs that we run.
//!
//! ```text
//! <root>/ptys/<leaf>     programs on a terminal
//! <root>/user/<leaf>     other programs
//! <root>/lifecycle/<leaf> programs called around a freeze, which it leaves running
//! <root>/socats          kept for hosts that look for it; nothing of ours runs there
//! ```
//!
//! The three parents have the names and properties that hosts expect (envd's), so a host that freezes `user` and
//! `ptys` freezes everything. Each program has a leaf of its own, which is what makes killing *all* of it one write
//! (`cgroup.kill`), whatever it forked and however often it changed sessions. Without cgroup v2 programs run all
//! the same and the kill walks `/proc` instead (`tree`).

mod leaf;
mod limits;
mod tree;

pub use leaf::Leaf;
pub use tree::{Class, Settings, Workload};
