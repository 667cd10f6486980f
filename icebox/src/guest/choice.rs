//! Which guest.

use super::{Guest, runtime, told};
use crate::host::Qemu;
use crate::image::{Image, build, find};
use crate::snapshot::{Resume, Silent};
use crate::template::{TemplateError, Templates};
use crate::vm::{Boot, Hardware, Network};

/// What a guest is made of, where the defaults do not do.
#[derive(Clone, Debug)]
pub struct Choice {
    flavour: String,
    memory_mib: Option<u32>,
    vmgenid: bool,
    rng: bool,
    append: String,
    network: Network,
}

impl Choice {
    /// A guest of this image, which is built by `rootfs/build.sh` where it is not there.
    #[must_use]
    pub fn of(flavour: &str) -> Self {
        let (memory_mib, append, network) = (None, String::new(), Network::default());
        Self { flavour: flavour.into(), memory_mib, vmgenid: true, rng: true, append, network }
    }

    /// With so much memory.
    #[must_use]
    pub fn memory(self, mib: u32) -> Self {
        Self { memory_mib: Some(mib), ..self }
    }

    /// Without the device that tells the kernel of a resume.
    #[must_use]
    pub fn without_vmgenid(self) -> Self {
        Self { vmgenid: false, ..self }
    }

    /// Without a source of random numbers.
    #[must_use]
    pub fn without_rng(self) -> Self {
        Self { rng: false, ..self }
    }

    /// With more on the kernel's command line.
    #[must_use]
    pub fn append(self, more: &str) -> Self {
        Self { append: more.into(), ..self }
    }

    /// With this network.
    #[must_use]
    pub fn network(self, network: Network) -> Self {
        Self { network, ..self }
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
        let template = told(runtime().block_on(self.template(&qemu, &templates)), "making a template");
        let folder = told(templates.new_vm_folder(), "naming a VM");
        let options = Resume { network: self.network, ..Resume::default() };
        let resumed = runtime().block_on(template.resume(&qemu, &options, &folder, &Silent));
        Guest::new(told(resumed, "copying a template").vm, qemu, templates)
    }

    async fn template(&self, qemu: &Qemu, templates: &Templates) -> Result<crate::snapshot::Snapshot, TemplateError> {
        let image = image(&self.flavour)?;
        let mut hardware = Hardware::find(qemu).await.map_err(crate::vm::VmError::from)?;
        hardware.memory_mib = self.memory_mib.unwrap_or(hardware.memory_mib);
        (hardware.vmgenid, hardware.rng) = (self.vmgenid, self.rng);
        let boot = Boot { append: self.append.clone(), ..Boot::new(hardware) };
        templates.get(qemu, &image, &boot).await
    }
}

fn image(flavour: &str) -> Result<Image, TemplateError> {
    Ok(match find(flavour)? {
        Some(image) => image,
        None => build(flavour)?,
    })
}
