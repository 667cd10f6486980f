//! A second name for what never changes.

use std::fs;
use std::io;
use std::path::Path;

use super::error::SnapshotError;
use super::manifest::Snapshot;
use super::save::{publish, staging, sync, sync_name};

impl Snapshot {
    /// Makes another snapshot of the same files in `folder`, which must not be there yet: by hard links, or by copies on
    /// another filesystem. Each of the two can then be deleted without the other. On the disk when this returns.
    ///
    /// # Errors
    /// [`SnapshotError`]; nothing is left then, nor when this is given up.
    pub async fn share(&self, folder: &Path) -> Result<Self, SnapshotError> {
        let growing = staging(folder)?;
        for name in self.files() {
            let (old, new) = (self.folder.join(&name), growing.path().join(&name));
            let shared = match fs::hard_link(&old, &new) {
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => fs::copy(&old, &new).map(drop),
                linked => linked,
            };
            shared.map_err(SnapshotError::file("sharing", new))?;
        }
        self.manifest.write(growing.path())?;
        let to = publish(sync(growing).await?, folder)?;
        sync_name(&to).await;
        Ok(Self { folder: to, manifest: self.manifest.clone() })
    }
}
