//! Network volumes that the host wants in the guest's tree (NFS 3).
//!
//! - [`Mounts`] which volume belongs to which life of the sandbox, each mounted once
//! - `attach` one volume: a dead mount goes, the folder is made, the kernel mounts
//! - `target` what the host calls a volume, and the options
//!
//! A volume of an earlier life has a dead server behind it: everything that touches it waits for ever. So nothing of
//! this is done while programs stand still, and each call that could wait is made by a process that can be killed.

mod attach;
mod error;
mod ledger;
mod target;

pub use error::MountError;
pub use ledger::Mounts;
pub use target::Volume;
