//! The kernel: every system call that the standard library does not offer, one file a subject.
//!
//! The only room where `unsafe` is allowed. No policy, no async, no global state: a function takes borrowed
//! descriptors and plain values and returns owned ones or the error of the call.
//!
//! - [`creds`] the identity under which one thread touches files
//! - [`file`] files without a name, reservations, copies
//! - [`ready`] waiting for a descriptor without a thread
//! - [`xattr`] extended attributes of user space

pub mod creds;
pub mod file;
pub mod ready;
pub mod xattr;
