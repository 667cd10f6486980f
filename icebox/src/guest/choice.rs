//! Which guest.

use super::{Guest, runtime, told};
use crate::host::Qemu;
use crate::snapshot::{Resume, Silent};
use crate::template::{Templates, Wish};
use crate::vm::Network;

/// What a guest is made of, where the defaults do not do.
#[derive(Clone, Debug)]
pub struct Choice {
    flavour: String,
    wish: Wish,
    network: Network,
}

impl Choice {
    /// A guest of this image. It is built by `rootfs/build.sh` where it is not there; one that is older than the agent's
    /// source is taken as it is, so run the script before the tests.
    #[must_use]
    pub fn of(flavour: &str) -> Self {
        Self { flavour: flavour.into(), wish: Wish::default(), network: Network::default() }
    }

    /// With so much memory.
    #[must_use]
    pub fn memory(mut self, mib: u32) -> Self {
        self.wish.memory_mib = Some(mib);
        self
    }

    /// With so many CPUs.
    #[must_use]
    pub fn cpus(mut self, number: u32) -> Self {
        self.wish.cpus = number;
        self
    }

    /// Without the device that tells the kernel of a resume.
    #[must_use]
    pub fn without_vmgenid(mut self) -> Self {
        self.wish.vmgenid = false;
        self
    }

    /// Without a source of random numbers.
    #[must_use]
    pub fn without_rng(mut self) -> Self {
        self.wish.rng = false;
        self
    }

    /// With more on the kernel's command line.
    #[must_use]
    pub fn append(mut self, more: &str) -> Self {
        self.wish.append = more.into();
        self
    }

    /// With this network.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Starts a copy of the template of this choice.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Guest {
        let templates = Templates::of_workspace();
        templates.sweep();
        let qemu = told(runtime().block_on(Qemu::find()), "finding QEMU");
        let image = told(runtime().block_on(templates.image(&self.flavour)), "opening an image");
        let template = told(runtime().block_on(templates.get(&qemu, &image, &self.wish)), "making a template");
        let folder = told(templates.new_vm_folder(), "naming a VM");
        let options = Resume { network: self.network, ..Resume::default() };
        let resumed = runtime().block_on(template.resume(&qemu, &options, &folder, &Silent));
        Guest::new(told(resumed, "copying a template").vm, qemu, templates)
    }
}
