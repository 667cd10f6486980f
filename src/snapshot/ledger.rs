//! What a successor must undo if we die while things are frozen.
//!
//! A text file on a tmpfs, written before anything is frozen and removed after everything is thawed. It dies with the
//! guest, as what is frozen does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::Device;

/// Keeps the file.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: PathBuf,
}

/// Holds what the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Filesystems that may be frozen.
    pub filesystems: Vec<Device>,
    /// Lines of the workload's own record.
    pub workload: Vec<String>,
}

impl Ledger {
    /// Keeps the ledger in `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join("frozen") }
    }

    /// Writes it anew: readers see the old one or the new one.
    ///
    /// # Errors
    /// What the file system said.
    pub fn write(&self, entry: &Entry) -> io::Result<()> {
        let mut text = String::new();
        for device in &entry.filesystems {
            text += &format!("filesystem {device}\n");
        }
        for line in &entry.workload {
            text += &format!("workload {line}\n");
        }
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let new = self.path.with_extension("new");
        fs::write(&new, text)?;
        fs::rename(&new, &self.path)
    }

    /// Removes it.
    pub fn clear(&self) {
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "cannot remove the record of a freeze");
        }
    }

    /// Reads what a predecessor left; lines that mean nothing to us are skipped.
    #[must_use]
    pub fn left(&self) -> Option<Entry> {
        let text = fs::read_to_string(&self.path).ok()?;
        let mut entry = Entry::default();
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("filesystem", device)) => entry.filesystems.extend(device.parse()),
                Some(("workload", line)) => entry.workload.push(line.to_owned()),
                _ => {}
            }
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_reads_what_was_written() {
        let folder = std::env::temp_dir().join(format!("thawd-ledger-{}", std::process::id()));
        let ledger = Ledger::new(&folder);
        assert_eq!(ledger.left(), None);
        let entry = Entry {
            filesystems: vec![Device { major: 259, minor: 1 }],
            workload: vec!["guest /a b".to_owned(), "mode hierarchy".to_owned()],
        };
        ledger.write(&entry).unwrap();
        assert_eq!(ledger.left(), Some(entry));
        ledger.clear();
        assert_eq!(ledger.left(), None);
        fs::remove_dir_all(folder).unwrap();
    }
}
