//! The kernel: every system call that the standard library does not offer, one file a subject.
//!
//! The only room where `unsafe` is allowed. No policy, no async, no global state: a function takes borrowed
//! descriptors and plain values and returns owned ones or the error of the call.
//!
//! - [`spawn`] starting a program (over `clone`), [`wait`] how it ended, [`pty`] its terminal
//! - [`fd`] pipes and descriptors, [`poll`] registering them with the runtime
//! - [`socket`] finding out that a peer is gone
//! - [`creds`] the identity under which one thread touches files, [`xattr`] extended attributes of user space
//! - [`file`](mod@file) files without a name, reservations, copies; [`statfs`] which filesystem, [`warm`] what is in memory
//! - [`fsfreeze`] stopping a filesystem's writes, [`guard`] who undoes a freeze when the agent dies
//! - [`limits`] what the agent inherited, [`memory`] how much there is, [`advise`] huge pages, [`clock`] what time it is
//! - [`hosttime`] what time it is outside, [`vmclock`] and [`kmsg`] who says that we were copied
//! - [`random`] feeding the kernel's random numbers, [`netlink`] its routes and sockets, [`namespace`] those of
//!   containers, and their mounts
//! - [`mount`](mod@mount) attaching a file system whose server may never answer, [`mountinfo`] words of the table
//!   of mounts, [`place`] putting a file in the place of another
//! - [`priority`] standing against others, [`bpf`] programs that the kernel runs

pub mod advise;
pub mod bpf;
pub mod clock;
mod clone;
pub mod creds;
pub mod fd;
pub mod file;
pub mod fsfreeze;
pub mod guard;
pub mod heap;
pub mod hosttime;
pub mod kmsg;
pub mod limits;
pub mod memory;
pub mod mount;
pub mod mountinfo;
pub mod namespace;
pub mod netlink;
pub mod place;
pub mod poll;
pub mod priority;
pub mod pty;
pub mod random;
pub mod socket;
pub mod spawn;
pub mod statfs;
pub mod vmclock;
pub mod wait;
pub mod warm;
pub mod xattr;
