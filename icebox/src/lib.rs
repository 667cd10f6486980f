//! The local sandbox host: VMs with the agent in them, on one machine, with QEMU and nothing else.
//!
//! A VM is booted from an [`image`], lives as a [`vm`], is paused to a [`snapshot`] and resumed from it, once or in
//! many copies. Everything that runs or lies on the disk has one owner in this process: drop the handle, and QEMU is
//! gone and the files too.
//!
//! | floor | room | keeps |
//! |---|---|---|
//! | 0 | `folder` | folders with an owner |
//! | 0 | `sys` | the two things that need `unsafe` |
//! | 1 | [`qmp`] | the talk with one QEMU |
//! | 1 | [`agent`] | the talk with the agent in a VM |
//! | 1 | [`host`] | what this machine can do |
//! | 1 | [`image`] | kernels and root filesystems |
//! | 1 | [`store`] | what must survive a crash |
//! | 2 | [`disk`] | layers of a VM's disk |
//! | 3 | [`vm`] | running VMs |
//! | 4 | [`snapshot`] | paused VMs |
//! | 5 | [`template`] | a VM that was booted once, to be copied |
//! | 6 | [`guest`] | VMs for tests, six lines each |
//! | 6 | [`sandbox`] | VMs with an id, a deadline and a life over many QEMUs |
//! | 7 | [`api`] | the control plane: what SDKs ask of sandboxes |
//! | 7 | [`proxy`] | the way from clients to ports of sandboxes |
//! | 8 | [`page`] | the same for people |
//!
//! A room imports only rooms on lower floors.

pub mod agent;
pub mod api;
pub mod disk;
mod folder;
pub mod guest;
pub mod host;
pub mod image;
pub mod page;
pub mod proxy;
pub mod qmp;
pub mod sandbox;
pub mod snapshot;
pub mod store;
mod sys;
pub mod template;
pub mod vm;
