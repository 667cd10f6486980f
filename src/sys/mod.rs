//! The kernel: every system call that the standard library does not offer, one file a subject.
//!
//! The only room where `unsafe` is allowed. No policy, no async, no global state: a function takes borrowed
//! descriptors and plain values and returns owned ones or the error of the call.

mod clone;
pub mod fd;
pub mod memory;
pub mod poll;
pub mod pty;
pub mod spawn;
pub mod wait;
