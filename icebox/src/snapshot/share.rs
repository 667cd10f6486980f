//! A second name for what never changes.

use std::fs;
use std::io;
use std::path::Path;

use tokio::task::spawn_blocking;

use super::error::SnapshotError;
use super::manifest::Snapshot;
use super::save::{publish, staging, sync, sync_name};
use crate::folder::Folder;

impl Snapshot {
    /// Makes another snapshot of the same files in `folder`, which must not be there yet: by hard links, or by copies on
    /// another filesystem. Each of the two can then be deleted without the other. On the disk when this returns.
    ///
    /// # Errors
    /// [`SnapshotError`]; nothing is left then, nor when this is given up.
    pub async fn share(&self, folder: &Path) -> Result<Self, SnapshotError> {
        let growing = staging(folder)?;
        let (from, names) = (self.folder.clone(), self.files().collect());
        let linking = spawn_blocking(move || link_all(&from, growing, names)).await;
        let growing =
            linking.unwrap_or_else(|error| Err(SnapshotError::file("sharing", folder)(io::Error::other(error))))?;
        self.manifest.write(growing.path())?;
        let to = publish(sync(growing).await?, folder)?;
        sync_name(&to).await;
        Ok(Self { folder: to, manifest: self.manifest.clone() })
    }
}

fn link_all(from: &Path, to: Folder, names: Vec<String>) -> Result<Folder, SnapshotError> {
    for name in names {
        let (old, new) = (from.join(&name), to.path().join(&name));
        let shared = match fs::hard_link(&old, &new) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => fs::copy(&old, &new).map(drop),
            linked => linked,
        };
        shared.map_err(SnapshotError::file("sharing", new))?;
    }
    Ok(to)
}
