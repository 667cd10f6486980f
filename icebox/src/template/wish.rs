//! What a template is asked for.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::host::Qemu;
use crate::vm::{Boot, Hardware, VmError};

/// How the VM of a template differs from what fits this machine.
#[derive(Clone, Debug)]
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

/// Tells templates of one image apart. A template is for what runs it: one that was made under KVM is none for a machine
/// that has lost KVM since, nor for an older QEMU that does not know its machine.
pub(super) fn key(boot: &Boot) -> u32 {
    let mut hasher = DefaultHasher::new();
    (&boot.hardware, &boot.append).hash(&mut hasher);
    // Any half does.
    hasher.finish() as u32
}

impl Wish {
    /// Finds out what this machine can do, which takes 0.1 s: it may be other than when the template was made.
    pub(super) async fn boot(&self, qemu: &Qemu) -> Result<Boot, VmError> {
        let found = Hardware::find(qemu).await?;
        let memory_mib = self.memory_mib.unwrap_or(found.memory_mib);
        let (cpus, vmgenid, rng) = (self.cpus, self.vmgenid, self.rng);
        let hardware = Hardware { memory_mib, cpus, vmgenid, rng, ..found };
        Ok(Boot { append: self.append.clone(), ..Boot::new(hardware) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Accelerator;

    #[test]
    fn a_template_is_for_one_accelerator_one_machine_and_one_command_line() {
        let machine = "pc-i440fx-10.0".to_owned();
        let accelerator = Accelerator::Tcg;
        let boot = Boot::new(Hardware { accelerator, machine, memory_mib: 64, cpus: 1, vmgenid: true, rng: true });
        let with = |change: fn(&mut Boot)| {
            let mut other = boot.clone();
            change(&mut other);
            key(&other)
        };
        assert_eq!(with(|_| {}), key(&boot));
        assert_ne!(with(|boot| boot.hardware.accelerator = Accelerator::Kvm), key(&boot));
        assert_ne!(with(|boot| boot.hardware.machine = "pc-i440fx-7.2".into()), key(&boot));
        assert_ne!(with(|boot| boot.append = "quiet".into()), key(&boot));
    }
}
