//! The kernel: every system call that the standard library does not offer, one file a subject.
//!
//! The only room where `unsafe` is allowed. No policy, no async, no global state: a function takes borrowed
//! descriptors and plain values and returns owned ones or the error of the call.
//!
//! - [`spawn`] starting a program (over `clone`), [`wait`] how it ended, [`pty`] its terminal
//! - [`fd`] pipes and descriptors, [`poll`] registering them with the runtime
//! - [`socket`] finding out that a peer is gone
//! - [`creds`] the identity under which one thread touches files, [`xattr`] extended attributes of user space
//! - [`file`](mod@file) files without a name, reservations, copies; [`statfs`] which filesystem
//! - [`link`](mod@link) network interfaces, [`priority`] standing against others
//! - [`limits`] what the agent inherited, [`memory`] how much there is, [`clock`] what time it is

pub mod clock;
mod clone;
pub mod creds;
pub mod fd;
pub mod file;
pub mod limits;
pub mod link;
pub mod memory;
pub mod poll;
pub mod priority;
pub mod pty;
pub mod socket;
pub mod spawn;
pub mod statfs;
pub mod wait;
pub mod xattr;
