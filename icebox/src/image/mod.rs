//! Keeps images: a kernel, an initial RAM disk and a root filesystem, with the agent inside, as `rootfs/build.sh`
//! leaves them in `target/images/<flavour>`.

mod error;
mod flavour;
mod stamp;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use error::ImageError;
pub use flavour::{build, find, workspace};
pub use stamp::Stamp;

/// Name of the file that describes an image.
const DESCRIPTION: &str = "image.json";
/// What QEMU can run here.
const ARCHITECTURE: &str = "x86_64";

/// An image on this machine; all its files are there.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its name.
    pub flavour: String,
    /// An ELF kernel, booted by PVH, or a bzImage.
    pub kernel: PathBuf,
    /// The initial RAM disk.
    pub initrd: PathBuf,
    /// The raw root filesystem; never written.
    pub disk: PathBuf,
    /// What the image wants on the kernel's command line.
    pub command_line: String,
}

#[derive(Deserialize)]
struct Description {
    flavour: String,
    kernel: String,
    initrd: String,
    disk: String,
    cmdline: String,
    arch: String,
}

impl Image {
    /// Reads the image in `folder`.
    ///
    /// # Errors
    /// [`ImageError`]: nothing there, not ours, or a file is missing.
    pub fn open(folder: &Path) -> Result<Self, ImageError> {
        let path = folder.join(DESCRIPTION);
        let text = std::fs::read(&path).map_err(|source| ImageError::Read { path: path.clone(), source })?;
        let it: Description = serde_json::from_slice(&text).map_err(|source| ImageError::Parse { path, source })?;
        if it.arch != ARCHITECTURE {
            return Err(ImageError::Architecture { folder: folder.into(), found: it.arch });
        }
        // A VM's files name the disk for as long as it lives, from folders of their own.
        let folder = folder.canonicalize().map_err(|source| ImageError::Read { path: folder.into(), source })?;
        let [kernel, initrd, disk] = [it.kernel, it.initrd, it.disk].map(|name| folder.join(name));
        let image = Self { flavour: it.flavour, kernel, initrd, disk, command_line: it.cmdline };
        image.stamps()?;
        Ok(image)
    }

    /// Tells this image from any other, and from itself rebuilt: a few digits made of sizes and times of change.
    /// The contents are not read: that would cost every test a second.
    ///
    /// # Errors
    /// [`ImageError::Read`] when a file went away.
    pub fn key(&self) -> Result<String, ImageError> {
        Ok(stamp::digest(&self.command_line, &self.stamps()?))
    }

    /// Tells this very disk from a later one of the same name.
    ///
    /// # Errors
    /// [`ImageError::Read`] when it went away.
    pub fn disk_stamp(&self) -> Result<Stamp, ImageError> {
        Stamp::of(&self.disk)
    }

    fn stamps(&self) -> Result<Vec<Stamp>, ImageError> {
        [&self.kernel, &self.initrd, &self.disk].into_iter().map(|path| Stamp::of(path)).collect()
    }
}
