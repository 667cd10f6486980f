//! What a template is asked for.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::host::{ACCELERATOR, Qemu};
use crate::vm::{Boot, Hardware, VmError};

/// How the VM of a template differs from what fits this machine. A wish is all that finds a template again, so what
/// this machine can do is found out only when one is made.
#[derive(Clone, Debug, Hash)]
pub struct Wish {
    /// In MiB; the default of [`Hardware::find`] when `None`.
    pub memory_mib: Option<u32>,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Has the device that tells the kernel of a resume.
    pub vmgenid: bool,
    /// Has a source of random numbers.
    pub rng: bool,
    /// More for the kernel's command line.
    pub append: String,
}

impl Default for Wish {
    fn default() -> Self {
        Self { memory_mib: None, cpus: 1, vmgenid: true, rng: true, append: String::new() }
    }
}

impl Wish {
    /// Tells templates of one image apart.
    pub(super) fn key(&self) -> u32 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        // A template is for what runs it.
        std::env::var_os(ACCELERATOR).hash(&mut hasher);
        // Any half does.
        hasher.finish() as u32
    }

    /// Finds out what this machine can do.
    pub(super) async fn boot(&self, qemu: &Qemu) -> Result<Boot, VmError> {
        let found = Hardware::find(qemu).await?;
        let memory_mib = self.memory_mib.unwrap_or(found.memory_mib);
        let (cpus, vmgenid, rng) = (self.cpus, self.vmgenid, self.rng);
        let hardware = Hardware { memory_mib, cpus, vmgenid, rng, ..found };
        Ok(Boot { append: self.append.clone(), ..Boot::new(hardware) })
    }
}
