//! Keeps a VM's disk: layers of qcow2 over the image's raw root filesystem.
//!
//! Every start of a VM puts a new layer on top; the layers below are never written again, so VMs and snapshots share
//! them by hard links: each folder has all of its layers, and any folder can be deleted. A layer names the one below
//! it relative to its own folder. After [`MOST_LAYERS`] starts the next one puts all layers into one.
//!
//! An overlay over a base that was rebuilt reads garbage without an error, so the base is known by its [`Stamp`], and
//! a disk over another one is refused.

mod error;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::timeout;

pub use error::DiskError;

use crate::folder::bytes_on_disk;
use crate::host::Qemu;
use crate::image::{Image, ImageError, Stamp};
use crate::sys;

/// Most layers in use; each read of an untouched block asks all of them. Measured: no difference up to 10.
pub const MOST_LAYERS: u32 = 8;
/// How long `qemu-img` may take: 30 ms to make a layer, and as long as it takes to copy what was written.
const TOOL_LIMIT: Duration = Duration::from_secs(120);

/// The disk of one VM or snapshot, whose layers are in its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    base: PathBuf,
    base_stamp: Stamp,
    layers: u32,
}

impl Disk {
    /// Stands for the image's root filesystem, without a layer.
    ///
    /// # Errors
    /// [`ImageError::Read`].
    pub fn of(image: &Image) -> Result<Self, ImageError> {
        Ok(Self { base: image.disk.clone(), base_stamp: image.disk_stamp()?, layers: 0 })
    }

    /// Number of layers.
    #[must_use]
    pub fn layers(&self) -> u32 {
        self.layers
    }

    /// What the guest sees, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.base_stamp.size
    }

    /// Name of the top layer in the VM's folder.
    #[must_use]
    pub fn top(&self) -> String {
        name(self.layers.saturating_sub(1))
    }

    /// Bytes of all layers in `folder`.
    pub(crate) fn bytes(&self, folder: &Path) -> io::Result<u64> {
        self.names().map(|name| bytes_on_disk(&folder.join(name))).sum()
    }

    /// Names of the layers, from the lowest.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        (0..self.layers).map(name)
    }

    /// Puts a new layer on top, for a VM in `folder` to write to.
    pub(crate) async fn grow(&mut self, qemu: &Qemu, folder: &Path) -> Result<(), DiskError> {
        if !Stamp::of(&self.base).is_ok_and(|now| now == self.base_stamp) {
            return Err(DiskError::Base { base: self.base.clone() });
        }
        let below = self.layers.checked_sub(1).map(name);
        let (backing, format) = match &below {
            Some(below) => (Path::new(below), "qcow2"),
            None => (&*self.base, "raw"),
        };
        let size = self.base_stamp.size.to_string();
        let mut command = Command::new(qemu.image());
        command.args(["create", "-q", "-f", "qcow2", "-u", "-F", format, "-b"]).arg(backing);
        tool(command.arg(name(self.layers)).arg(size), folder).await?;
        self.layers += 1;
        if self.layers > MOST_LAYERS { self.flatten(qemu, folder).await } else { Ok(()) }
    }

    /// Puts all layers into the top one, which nobody writes to yet.
    async fn flatten(&mut self, qemu: &Qemu, folder: &Path) -> Result<(), DiskError> {
        let mut command = Command::new(qemu.image());
        command.args(["rebase", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(&self.base).arg(self.top());
        tool(&mut command, folder).await?;
        let (top, bottom) = (folder.join(self.top()), folder.join(name(0)));
        for below in self.names().take(self.layers as usize - 1) {
            let path = folder.join(below);
            fs::remove_file(&path).map_err(|source| DiskError::File { path, source })?;
        }
        fs::rename(&top, bottom).map_err(|source| DiskError::File { path: top, source })?;
        self.layers = 1;
        Ok(())
    }

    /// Gives the folder `to` the layers of the folder `from`: links, or copies on another filesystem.
    pub(crate) fn share(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        for name in self.names() {
            let (old, new) = (from.join(&name), to.join(&name));
            let shared = match fs::hard_link(&old, &new) {
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => fs::copy(&old, &new).map(drop),
                linked => linked,
            };
            shared.map_err(|source| DiskError::File { path: new, source })?;
        }
        Ok(())
    }
}

fn name(layer: u32) -> String {
    format!("disk-{layer}.qcow2")
}

/// Runs `qemu-img` in `folder`.
async fn tool(command: &mut Command, folder: &Path) -> Result<(), DiskError> {
    let whole = format!("{:?}", command.as_std());
    let mut owned = Command::new(command.as_std().get_program());
    owned.args(command.as_std().get_args()).current_dir(folder).kill_on_drop(true);
    owned.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = |source| DiskError::Start { command: whole.clone(), source };
    let child = sys::spawn(owned).await.map_err(start)?;
    let ended = timeout(TOOL_LIMIT, child.wait_with_output()).await;
    let output = ended.map_err(|_| DiskError::Late { command: whole.clone(), limit: TOOL_LIMIT })?.map_err(start)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(DiskError::Failed { command: whole, said })
}
