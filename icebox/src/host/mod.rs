//! Keeps what this machine can do: which QEMU it has, and whether KVM really works.
//!
//! Finding QEMU is one run of `--version` (30 ms). The rest is found out when a VM is booted and written into its
//! `Hardware`, so that resuming asks for nothing.
//!
//! A `/dev/kvm` that opens is no proof that KVM works: inside some VMs it is there and every guest dies. So it is
//! tried, with a guest of nine bytes that has a few seconds to say hello; see [`Accelerator::find`].

mod accelerator;
mod error;
mod qemu;

pub use accelerator::{ACCELERATOR, Accelerator};
pub use error::HostError;
pub use qemu::{Qemu, Version};
