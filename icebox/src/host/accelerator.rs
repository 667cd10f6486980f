//! Whether KVM works.

use std::io::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::qemu::{Qemu, run};
use crate::folder::Scratch;

/// The variable of the environment that chooses one: `kvm` or `tcg`.
pub const ACCELERATOR: &str = "ICEBOX_ACCELERATOR";
/// How long the tiny guest may take: 0.3 s where KVM works. There are machines, guests themselves, where it takes 4 s, and
/// a real guest does not come up in a minute, which an emulated one does in 3 s.
const PROBE_LIMIT: Duration = Duration::from_millis(1500);
/// What the tiny guest writes to the exit port; QEMU then exits with twice of it plus one.
const HELLO: u8 = 0x15;
/// A boot sector: `mov dx, 0x501; mov al, HELLO; out dx, al; hlt; jmp` back to the `hlt`.
const SECTOR: [u8; 9] = [0xba, 0x01, 0x05, 0xb0, HELLO, 0xee, 0xf4, 0xeb, 0xfd];

/// What runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// The CPU itself.
    Kvm,
    /// QEMU, some ten times slower; works everywhere.
    Tcg,
}

impl Accelerator {
    /// Takes what `ICEBOX_ACCELERATOR` (`kvm` or `tcg`) says; else KVM if a tiny guest really runs under it, else TCG.
    pub async fn find(qemu: &Qemu) -> Self {
        match std::env::var(ACCELERATOR).as_deref() {
            Ok("kvm") => Self::Kvm,
            Ok("tcg") => Self::Tcg,
            _ if says_hello(qemu).await => Self::Kvm,
            _ => Self::Tcg,
        }
    }

    /// Its name on QEMU's command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// Boots the tiny guest under KVM with the CPU that real guests get.
async fn says_hello(qemu: &Qemu) -> bool {
    if std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
        return false;
    }
    let Ok(scratch) = Scratch::new(&std::env::temp_dir(), "icebox-kvm") else { return false };
    let disk = scratch.path().join("sector");
    if write_sector(&disk).is_err() {
        return false;
    }
    let drive = format!("file={},format=raw,if=ide,readonly=off,snapshot=on", disk.display());
    let arguments = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "pc,accel=kvm"];
    let rest = ["-cpu", "host", "-m", "32", "-device", "isa-debug-exit", "-drive", &drive];
    let output = run(qemu.system(), &[&arguments[..], &rest[..]].concat(), PROBE_LIMIT).await;
    let works = output.is_ok_and(|output| output.status.code() == Some(i32::from(HELLO) * 2 + 1));
    tracing::debug!(works, "tried KVM with a tiny guest");
    works
}

fn write_sector(path: &std::path::Path) -> std::io::Result<()> {
    let mut sector = [0; 512];
    for (to, from) in sector.iter_mut().zip(SECTOR) {
        *to = from;
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    std::fs::File::create(path)?.write_all(&sector)
}
