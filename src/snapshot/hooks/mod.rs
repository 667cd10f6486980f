//! Programs and servers that are asked before a freeze and told after a thaw.
//!
//! # Theory of operation
//! ```text
//! scan      the folder -> which hooks there are, in the order of their names
//! calls     one after another, each with its own deadline, all with one budget
//!  ├ run    a program: forked into a cgroup that no freeze touches, followed by its pidfd, killed as a tree
//!  └ post   a server: one POST over loopback or a unix socket (`server` has its address)
//! ```
//! Whoever writes a hook is trusted with root, not with time: nothing here waits for a hook, its children, its pipe
//! or its server beyond the deadline and a grace of 20 ms in which SIGKILL does its work. What does not die then is
//! left to a background task, which sleeps until it does.
//!
//! There is no state between calls. An empty folder costs six system calls, a missing one a single one (strace); no
//! process and no task exists then.

mod calls;
mod error;
mod outcome;
mod post;
mod run;
mod scan;
mod server;

pub use calls::{Context, Hooks, Settings};
pub use error::HookError;
pub use outcome::Outcome;

#[cfg(test)]
mod tests;
