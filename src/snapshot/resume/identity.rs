//! Names and numbers that tell copies of one guest apart.

use std::path::Path;

use super::Fault;

/// Says who the guest is from now on; what is `None` stays, unless it is a clone.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The host name.
    pub hostname: Option<String>,
    /// 32 lowercase hexadecimal digits.
    pub machine_id: Option<String>,
    /// Renews what is not given.
    pub clone: bool,
}

/// Says who the guest is now, as far as that was changed.
#[derive(Debug, Default)]
pub struct Renewed {
    /// The new host name.
    pub hostname: Option<String>,
    /// The new machine-id.
    pub machine_id: Option<String>,
    /// The new boot_id.
    pub boot_id: Option<String>,
    /// What could not be done.
    pub faults: Vec<Fault>,
}

/// Gives the guest its new identity; `run` is a folder of ours on a tmpfs, which exists.
///
/// Filesystems must be thawed and the kernel's random numbers be fresh.
#[must_use]
pub fn renew(wanted: &Wanted, run: &Path) -> Renewed {
    let _ = (wanted, run);
    Renewed::default()
}
