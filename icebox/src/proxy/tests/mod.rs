//! Laws of the way between a client and a VM, with servers on this machine in the place of VMs.

mod again;
mod ends;
mod load;
mod messages;
mod refusals;
mod streams;
pub(super) mod support;
