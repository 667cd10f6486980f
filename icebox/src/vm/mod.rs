//! Keeps running VMs: from a specification to a command line, to a QEMU, to a guest whose agent answers.
//!
//! A VM has a folder of its own: the layers of its disk, `console.log` (what the guest said on its serial line) and
//! `qemu.log` (what QEMU said). [`Vm`] owns QEMU and folder: dropping it kills the one and removes the other. QEMU
//! also dies with our process, however that ends.
//!
//! Choices, each by measurement (QEMU 10.0 without KVM, 256 MiB, two cores, November 2026):
//!
//! * **No balloon.** Free page reporting gives nothing back to a file that is mapped privately: an older QEMU punches
//!   the holes into the file, which is the snapshot, and a newer one refuses. Instead the guest's kernel clears pages
//!   as it frees them (`init_on_free=1`), and zero pages are not saved: 60 MB instead of 125 MB after a guest wrote and
//!   deleted 60 MB, for 0.4 s more at boot.
//! * **Host ports are chosen by the kernel** (port 0) and read back, so that parallel VMs never want the same.
//! * **`tsc_early_khz`**: an emulated guest that calibrates its clock on a busy host may get it wrong by a factor, and
//!   keeps it for life.

mod command;
mod error;
mod forward;
mod kernel;
mod last;
mod machine;
mod process;
mod spec;

pub use error::VmError;
pub use forward::Forward;
pub use machine::Vm;
pub use spec::{AGENT_PORT, Boot, Hardware, Network};

pub(crate) use command::MEMORY;
pub(crate) use machine::{Parts, Start, new_folder};
