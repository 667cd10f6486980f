//! A snapshot on the disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::SnapshotError;
use super::report::Bytes;
use crate::disk::Disk;
use crate::folder::{bytes_on_disk, random_name};
use crate::vm::Hardware;

/// Counts up when an older program could not use what we write.
const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
/// The guest's memory.
pub(super) const MEMORY_FILE: &str = "memory";
/// QEMU's stream without the memory.
pub(super) const DEVICES_FILE: &str = "devices";

/// What belongs together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    pub(super) flavour: String,
    pub(super) hardware: Hardware,
    pub(super) disk: Disk,
    /// What the companion got for its freeze.
    pub(super) frozen: Option<Value>,
    /// When the CPUs had stopped, in nanoseconds since the epoch.
    pub(super) stopped_unix_ns: u64,
    /// There is no memory, and there are no devices: it can only be booted.
    #[serde(default)]
    pub(super) disk_only: bool,
}

/// A paused VM. It can be resumed any number of times, also at once; each VM is then a copy of its own.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) folder: PathBuf,
    pub(super) manifest: Manifest,
}

impl Snapshot {
    /// Opens the snapshot in `folder`.
    ///
    /// # Errors
    /// [`SnapshotError`]: not there, of another format, or not whole, which nothing of ours leaves behind.
    pub fn open(folder: &Path) -> Result<Self, SnapshotError> {
        let folder = folder.canonicalize().map_err(SnapshotError::file("opening the snapshot", folder))?;
        let path = folder.join(MANIFEST);
        let text = fs::read(&path).map_err(SnapshotError::file("reading", &path))?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|source| SnapshotError::Manifest { path, source })?;
        if manifest.format != FORMAT {
            return Err(SnapshotError::Format { folder, found: manifest.format, known: FORMAT });
        }
        let snapshot = Self { folder, manifest };
        snapshot.is_whole()?;
        Ok(snapshot)
    }

    /// Names a snapshot that was just written.
    pub(super) fn at(folder: PathBuf, manifest: Manifest) -> Self {
        Self { folder, manifest }
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What its VM keeps for life.
    #[must_use]
    pub fn hardware(&self) -> &Hardware {
        &self.manifest.hardware
    }

    /// The image that its VM was booted from.
    #[must_use]
    pub fn flavour(&self) -> &str {
        &self.manifest.flavour
    }

    /// The size of its disk, as the guest sees it, in bytes.
    #[must_use]
    pub fn disk_size(&self) -> u64 {
        self.manifest.disk.size()
    }

    /// What the companion got for its freeze.
    #[must_use]
    pub fn frozen(&self) -> Option<&Value> {
        self.manifest.frozen.as_ref()
    }

    /// Has no memory: it can be booted, and not resumed.
    #[must_use]
    pub fn is_disk_only(&self) -> bool {
        self.manifest.disk_only
    }

    /// When the guest stopped, in nanoseconds since the epoch.
    #[must_use]
    pub fn stopped_unix_ns(&self) -> u64 {
        self.manifest.stopped_unix_ns
    }

    /// What it takes on the disk.
    ///
    /// # Errors
    /// [`SnapshotError::File`].
    pub fn bytes(&self) -> Result<Bytes, SnapshotError> {
        bytes(&self.folder, &self.manifest).map_err(SnapshotError::file("measuring", &self.folder))
    }

    /// Removes it. VMs that were resumed from it go on; their room comes free when they end.
    ///
    /// # Errors
    /// [`SnapshotError::File`]: it may then be there in part, and is no snapshot any more.
    pub fn delete(self) -> Result<(), SnapshotError> {
        let removed = || {
            let name = random_name()?;
            let gone = self.folder.with_file_name(format!(".deleted-{name}"));
            fs::rename(&self.folder, &gone)?;
            fs::remove_dir_all(gone)
        };
        removed().map_err(SnapshotError::file("removing", &self.folder))
    }

    /// Names of its files, but for the manifest.
    pub(super) fn files(&self) -> impl Iterator<Item = String> {
        let memory = [MEMORY_FILE, DEVICES_FILE].into_iter().filter(|_| !self.manifest.disk_only);
        memory.map(str::to_owned).chain(self.manifest.disk.names())
    }

    fn is_whole(&self) -> Result<(), SnapshotError> {
        for name in self.files() {
            let path = self.folder.join(&name);
            let length = fs::metadata(&path).map_err(SnapshotError::file("opening", &path))?.len();
            if name == MEMORY_FILE && length != self.manifest.hardware.memory_bytes() {
                let wrong = io::Error::new(io::ErrorKind::InvalidData, format!("it has {length} bytes"));
                return Err(SnapshotError::file("opening", path)(wrong));
            }
        }
        Ok(())
    }
}

pub(super) fn bytes(folder: &Path, manifest: &Manifest) -> io::Result<Bytes> {
    let file = |name: &str| if manifest.disk_only { Ok(0) } else { bytes_on_disk(&folder.join(name)) };
    Ok(Bytes { memory: file(MEMORY_FILE)?, devices: file(DEVICES_FILE)?, disk: manifest.disk.bytes(folder)? })
}

impl Manifest {
    pub(super) fn new(
        flavour: String,
        hardware: Hardware,
        disk: Disk,
        frozen: Option<Value>,
        stopped_unix_ns: u64,
    ) -> Self {
        Self { format: FORMAT, flavour, hardware, disk, frozen, stopped_unix_ns, disk_only: false }
    }

    /// Writes it into `folder`; returns where.
    pub(super) fn write(&self, folder: &Path) -> Result<PathBuf, SnapshotError> {
        let path = folder.join(MANIFEST);
        let text = serde_json::to_vec_pretty(self);
        let text = text.map_err(|source| SnapshotError::Manifest { path: path.clone(), source })?;
        fs::write(&path, text).map_err(SnapshotError::file("writing", &path))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Folder;

    const TEXT: &str = r#"{"format":1,"flavour":"scratch","hardware":{"accelerator":"tcg","machine":"pc-i440fx-10.0",
        "memory_mib":1,"cpus":1,"vmgenid":true,"rng":true},
        "disk":{"base":"/i/disk.ext4","base_stamp":{"size":1,"modified_ns":2,"inode":3},"layers":1},
        "frozen":{"generation":"3"},"stopped_unix_ns":7}"#;

    fn folder(manifest: &str) -> Folder {
        let folder = Folder::new(&std::env::temp_dir(), "icebox-manifest").unwrap();
        fs::write(folder.path().join(MANIFEST), manifest).unwrap();
        fs::File::create(folder.path().join(MEMORY_FILE)).unwrap().set_len(1 << 20).unwrap();
        for name in [DEVICES_FILE, "disk-0.qcow2"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        folder
    }

    #[test]
    fn a_whole_snapshot_opens_and_writes_itself_again() {
        let folder = folder(TEXT);
        let snapshot = Snapshot::open(folder.path()).unwrap();
        assert_eq!(snapshot.frozen().unwrap()["generation"], "3");
        snapshot.manifest.write(folder.path()).unwrap();
        assert_eq!(Snapshot::open(folder.path()).unwrap().manifest.disk, snapshot.manifest.disk);
        assert!(snapshot.bytes().unwrap().memory < 1 << 20);
    }

    #[test]
    fn a_snapshot_without_one_of_its_files_is_none() {
        for name in [MANIFEST, MEMORY_FILE, DEVICES_FILE, "disk-0.qcow2"] {
            let folder = folder(TEXT);
            fs::remove_file(folder.path().join(name)).unwrap();
            let error = Snapshot::open(folder.path()).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn memory_that_is_too_short_and_formats_of_tomorrow_are_refused() {
        let short = folder(TEXT);
        fs::write(short.path().join(MEMORY_FILE), "x").unwrap();
        assert!(matches!(Snapshot::open(short.path()), Err(SnapshotError::File { .. })));
        let later = folder(&TEXT.replace("\"format\":1", "\"format\":2"));
        assert!(matches!(Snapshot::open(later.path()), Err(SnapshotError::Format { found: 2, .. })));
        let broken = folder("{");
        assert!(matches!(Snapshot::open(broken.path()), Err(SnapshotError::Manifest { .. })));
    }

    #[test]
    fn a_deleted_snapshot_leaves_nothing() {
        let mut folder = folder(TEXT);
        let parent = Folder::new(&std::env::temp_dir(), "icebox-delete").unwrap();
        let path = parent.path().join("it");
        fs::rename(folder.path(), &path).unwrap();
        folder.keep();
        Snapshot::open(&path).unwrap().delete().unwrap();
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
