//! Telling a file from a later one of the same name.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::ImageError;

/// Size, time of change and inode of a file: equal as long as nobody wrote or replaced it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// In bytes.
    pub size: u64,
    /// When its content changed, in nanoseconds since the epoch.
    pub modified_ns: i128,
    /// Which file of its filesystem it is.
    pub inode: u64,
}

impl Stamp {
    /// Reads the stamp of `path`.
    ///
    /// # Errors
    /// [`ImageError::Read`].
    pub fn of(path: &Path) -> Result<Self, ImageError> {
        let metadata = path.metadata().map_err(|source| ImageError::Read { path: path.into(), source })?;
        let modified_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Ok(Self { size: metadata.len(), modified_ns, inode: metadata.ino() })
    }
}

/// Makes one short name of all. It need not be the same for another build of this program: then a template is made
/// anew.
pub(super) fn digest(command_line: &str, stamps: &[Stamp]) -> String {
    let mut hasher = DefaultHasher::new();
    (command_line, stamps).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
